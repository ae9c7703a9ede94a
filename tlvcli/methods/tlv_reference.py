"""TLV as its authors run it: `TLVFC(FlattenStandardization(), IndexMatching(), VarTransfer())` at 97aeff8.

Bit-compatible: convolutions in registration order, then every linear layer from the cumulative statistics divided
by the number of the target's linear layers, all draws from one generator seeded with the run's seed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer, ModelGraph
from tlvcli.core.plan import LayerMatch, Mapped, PlanRow, TransferPlan, assemble_plan
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.mapping.linear_statistics import cumulative_statistics, zero_bias
from tlvcli.methods.mapping.options import VarianceReferenceOptions
from tlvcli.methods.mapping.variance_reference import map_by_centre, map_convolution
from tlvcli.methods.matching.index import match_by_index
from tlvcli.methods.matching.layers import Groups
from tlvcli.methods.options import NoOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor


def plan_tlv_reference(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: VarianceReferenceOptions,
    seed: int,
) -> TransferPlan:
    """Plan every target tensor from one stream, in the authors' order.

    Raises:
        TlvError: `reference-undefined` where the authors' code crashes or writes NaN.
    """
    generator = torch.Generator().manual_seed(seed)
    parts = []
    groups: Groups = (("conv2d", "depthwise-conv2d"),)
    for match in match_by_index(source_graph, target_graph, groups=groups, options=NoOptions()):
        if match.source is not None:
            parts += _plan_convolution(match, match.source, source, target, options, generator)
    parts += _plan_linear_layers(source, source_graph, target_graph, generator)
    return assemble_plan(
        target_graph, parts, reason="the authors' code leaves it alone: the target's own initialisation"
    )


def _plan_convolution(
    match: LayerMatch,
    source_layer: Layer,
    source: TensorSource,
    target: Mapping[str, Tensor],
    options: VarianceReferenceOptions,
    generator: Generator,
) -> list[Mapped]:
    weights = source.read(f"{source_layer.name}.weight"), target[f"{match.target.name}.weight"]
    parts = [map_convolution(match, *weights, options=options, generator=generator)]
    if match.target.find("bias") and source_layer.find("bias"):
        biases = source.read(f"{source_layer.name}.bias"), target[f"{match.target.name}.bias"]
        parts.append(map_by_centre(match, "bias", *biases, generator=generator))
    return parts


def _plan_linear_layers(
    source: TensorSource, source_graph: ModelGraph, target_graph: ModelGraph, generator: Generator
) -> list[Mapped]:
    layers, source_layers = target_graph.of_kind("linear"), source_graph.of_kind("linear")
    if not layers:
        return []
    if not source_layers:
        raise _undefined("the source has no linear layer, and theirs writes NaN")
    weights = [weight for layer in source_layers if (weight := layer.find("weight")) and weight.num_elements > 1]
    if len(weights) < len(source_layers):
        raise _undefined("a linear layer of the source has a single weight, or none")
    statistics = cumulative_statistics(source, weights).divided(len(layers))
    if not math.isfinite(statistics.std):
        raise _undefined("the standard deviation of the source's linear layers is not finite")
    return [_draw_linear(layer, statistics.mean, statistics.std, generator) for layer in layers]


def _draw_linear(layer: Layer, mean: float, std: float, generator: Generator) -> Mapped:
    weight, bias = layer.find("weight"), layer.find("bias")
    assert weight is not None
    if bias is None:
        raise _undefined(f"{layer.name} has no bias, and theirs crashes")
    state = generator.get_state()
    torch.empty(weight.shape).normal_(mean, std, generator=generator)  # moves the stream on for the next layer
    drawn = PlanRow(
        tensor=weight.name,
        shape=weight.shape,
        source=None,
        operation="normal",
        parameters={"mean": mean, "std": std},
        transferred=0.0,
        reason="noise with the mean and spread of the source's linear layers, over their number in the target",
    )
    return Mapped((drawn, zero_bias(bias)), {f"{weight.name}:stream": state})


def _undefined(what: str) -> TlvError:
    return TlvError("reference-undefined", f"the authors' code is not defined here: {what}", "--method tlv handles it")

"""TLV, corrected: index matching, variance mapping of convolutions, cumulative statistics for linear layers.

"Transfer Learning using Variance-based mapping and Feature crossover" (ThuanNaN/TLVFC). Our corrections are named
in `mapping.variance`; besides, depthwise and dense convolutions are matched among themselves, and the spread of
linear layers is not divided by their number in the target. Batch normalisation stays as the target has it, as
published.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tlvcli.core.graph import LayerKind, ModelGraph, TensorSpec
from tlvcli.core.plan import Mapped, PlanRow, TransferPlan, assemble_plan, keep_row
from tlvcli.core.runtime import derive_seed, make_generator
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.mapping.layer import map_layer
from tlvcli.methods.mapping.linear_statistics import (
    LinearStatistics,
    cumulative_statistics,
    linear_biases,
    linear_weights,
    zero_bias,
)
from tlvcli.methods.matching.layers import warn_of_repeats
from tlvcli.methods.options import TlvOptions

if TYPE_CHECKING:
    from torch import Tensor

    from tlvcli.methods.recipe import Mapper, Matcher

GROUPS: tuple[tuple[LayerKind, ...], ...] = (("conv2d",), ("depthwise-conv2d",))


def plan_tlv(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: TlvOptions,
    seed: int,
    match: Matcher,
    map_weight: Mapper,
) -> TransferPlan:
    """Plan every target tensor; each layer draws from its own stream of `seed`."""
    matches = match(source_graph, target_graph, groups=GROUPS)
    parts = [
        map_layer(
            found, source, target, map_weight=map_weight, generator=make_generator(seed, "tlv", found.target.name)
        )
        for found in matches
    ]
    parts.append(Mapped((), warnings=warn_of_repeats(matches)))
    parts.append(_plan_linear_layers(source, source_graph, target_graph, options, seed))
    return assemble_plan(
        target_graph,
        parts,
        reason="tlv maps 2-D convolutions and linear layers only: the target's own initialisation",
    )


def _plan_linear_layers(
    source: TensorSource,
    source_graph: ModelGraph,
    target_graph: ModelGraph,
    options: TlvOptions,
    seed: int,
) -> Mapped:
    weights, biases = linear_weights(target_graph), linear_biases(target_graph)
    if options.linear_statistics == "off":
        return _keep_linear((*weights, *biases), "linear-statistics is off")
    sources = [weight for weight in linear_weights(source_graph) if weight.num_elements > 1]
    statistics = cumulative_statistics(source, sources)
    if not statistics.is_finite:
        lack = "has no linear layer to take statistics from" if not sources else "has linear layers that are not finite"
        layers = "1 linear layer keeps its" if len(weights) == 1 else f"{len(weights)} linear layers keep their"
        warning = f"the source {lack}; {layers} own initialisation"
        kept = _keep_linear((*weights, *biases), f"the source {lack}")
        return replace(kept, warnings=(warning,) if weights else ())
    if options.linear_statistics == "divided":
        statistics = statistics.divided(len(weights))
    drawn = [_draw_weight(weight, statistics, len(sources), seed) for weight in weights]
    return Mapped((*drawn, *(zero_bias(bias) for bias in biases)))


def _keep_linear(tensors: Sequence[TensorSpec], reason: str) -> Mapped:
    kept = f"{reason}: the target's own initialisation"
    return Mapped(tuple(keep_row(tensor.name, tensor.shape, kept) for tensor in tensors))


def _draw_weight(weight: TensorSpec, statistics: LinearStatistics, num_sources: int, seed: int) -> PlanRow:
    """Return the row that draws a weight from the statistics; noise does not count as taken."""
    return PlanRow(
        tensor=weight.name,
        shape=weight.shape,
        source=None,
        operation="normal",
        parameters={
            "mean": statistics.mean,
            "std": statistics.std,
            "seed": derive_seed(seed, "tlv", weight.name),
        },
        transferred=0.0,
        reason=f"noise with the mean and spread of the source's linear layers ({num_sources})",
    )

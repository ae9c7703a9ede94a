"""TLV, corrected: index matching, variance mapping of convolutions, cumulative statistics for linear layers.

"Transfer Learning using Variance-based mapping and Feature crossover" (ThuanNaN/TLVFC). Our corrections are named
in `mapping.variance`; besides, depthwise and dense convolutions are matched among themselves, and the spread of
linear layers is not divided by their number in the target. Batch normalisation stays as the target has it, as
published.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlvcli.core.graph import Layer, LayerKind, ModelGraph
from tlvcli.core.plan import Mapped, PlanRow, TransferPlan, assemble_plan, keep_row
from tlvcli.core.runtime import derive_seed, make_generator
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.mapping.layer import map_layer
from tlvcli.methods.mapping.linear_statistics import LinearStatistics, cumulative_statistics
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
    parts = [
        map_layer(
            found, source, target, map_weight=map_weight, generator=make_generator(seed, "tlv", found.target.name)
        )
        for found in match(source_graph, target_graph, groups=GROUPS)
    ]
    parts.append(_plan_linear_layers(source, source_graph, target_graph, options, seed))
    return assemble_plan(
        target_graph,
        parts,
        reason="tlv maps convolutions and linear layers only: the target's own initialisation",
    )


def _plan_linear_layers(
    source: TensorSource,
    source_graph: ModelGraph,
    target_graph: ModelGraph,
    options: TlvOptions,
    seed: int,
) -> Mapped:
    layers, source_layers = target_graph.of_kind("linear"), source_graph.of_kind("linear")
    if options.linear_statistics == "off" or not source_layers:
        has_none = not source_layers and options.linear_statistics != "off"
        reason = "the source has no linear layer to take statistics from" if has_none else "linear-statistics is off"
        rows = tuple(
            keep_row(tensor.name, tensor.shape, f"{reason}: the target's own initialisation")
            for layer in layers
            for tensor in layer.tensors
        )
        return Mapped(rows, {}, (f"{reason}; {len(layers)} linear layers keep theirs",) if has_none and layers else ())
    statistics = cumulative_statistics(source, source_layers)
    if options.linear_statistics == "divided":
        statistics = statistics.divided(len(layers))
    return Mapped(tuple(row for layer in layers for row in _draw_linear(layer, statistics, len(source_layers), seed)))


def _draw_linear(layer: Layer, statistics: LinearStatistics, num_sources: int, seed: int) -> list[PlanRow]:
    """Return rows that draw the weight from the statistics and set the bias to zero; neither counts as taken."""
    rows = []
    for tensor in layer.tensors:
        is_weight = tensor.suffix == "weight"
        parameters: dict[str, int | float | str] = {"value": 0.0}
        if is_weight:
            stream = derive_seed(seed, "tlv", tensor.name)
            parameters = {"mean": statistics.mean, "std": statistics.std, "seed": stream}
        rows.append(
            PlanRow(
                tensor=tensor.name,
                shape=tensor.shape,
                source=None,
                operation="normal" if is_weight else "constant",
                parameters=parameters,
                transferred=0.0,
                reason=(
                    f"noise with the mean and spread of the source's linear layers ({num_sources})"
                    if is_weight
                    else "zero beside a weight drawn from statistics"
                ),
            )
        )
    return rows

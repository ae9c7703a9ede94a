"""Coherent: producers and consumers of a channel agree on which source channel it is, in any two networks.

Ours, built on Net2Net (Chen et al. 2016) and weight selection (Xu et al. 2024). The same architecture is copied; a
wider, deeper, narrower or shallower one of the same family follows one index map for each group of channels; another
family takes blocks collapsed into single kernels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import Mapped, PlanRow, TransferPlan, assemble_plan
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.coherent.across import plan_across
from tlvcli.methods.coherent.by_names import plan_by_names
from tlvcli.methods.coherent.family import plan_family
from tlvcli.methods.coherent.options import CoherentOptions
from tlvcli.methods.coherent.pairs import pair_by_channels

if TYPE_CHECKING:
    from torch import Tensor

# They make one number of many channels, and leave every channel in its place.
_KEEP_ORDER = ("layer normalisation", "group normalisation", "attention", "softmax")


def plan_coherent(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: CoherentOptions,
    seed: int,
) -> TransferPlan:
    """Plan every target tensor; noise is drawn for each tensor from its own stream of `seed`."""
    if _shapes(source_graph) == _shapes(target_graph):
        return _copy(target_graph)
    (groups, fault), (own, own_fault) = _trace(source_graph), _trace(target_graph)
    if groups is None or own is None:
        why = f"the source {fault}" if groups is None else f"the target {own_fault}"
        return plan_by_names(source, source_graph, target, target_graph, seed=seed, why=why)
    pairs = pair_by_channels(source_graph, target_graph, (groups, own))
    plan = (
        plan_family(source, target_graph, (groups, own), pairs, options=options, seed=seed) if pairs.is_family else None
    )
    plan = plan or plan_across(source, (groups, own), target, target_graph, options=options, seed=seed)
    return replace(plan, warnings=(*plan.warnings, *_say_what_is_mixed(own)))


def _trace(graph: ModelGraph) -> tuple[ChannelGroups | None, str]:
    """Return the way of the channels, or None and why there is none."""
    if graph.channels is None:
        return None, "is known by names and shapes alone (--source-arch names its architecture)"
    try:
        return graph.channels(), ""
    except TlvError as error:
        return None, f"cannot be traced ({error.message})"


def _say_what_is_mixed(groups: ChannelGroups) -> tuple[str, ...]:
    """Return a warning that names the operations behind which no channel is known, if there are any."""
    mixing = [reason for reason, channels in groups.mixed.items() if len(channels) and reason not in _KEEP_ORDER]
    if not mixing:
        return ()
    return (f"no way of channels through {', '.join(mixing)}: what reads it need not take what its writer took",)


def _copy(graph: ModelGraph) -> TransferPlan:
    rows = (
        PlanRow(
            tensor=tensor.name,
            shape=tensor.shape,
            source=tensor.name,
            operation="copy",
            parameters={},
            transferred=1.0,
            reason="the same architecture",
        )
        for tensor in graph.tensors()
    )
    return assemble_plan(graph, [Mapped(tuple(rows))], reason="")


def _shapes(graph: ModelGraph) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tensor.shape for tensor in graph.tensors()}

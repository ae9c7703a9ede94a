"""DPIAT, corrected: layers aligned by dynamic programming, the centre of each source layer into its target.

"Breaking the Architecture Barrier" (arXiv 2212.13970, `iatransfer`). Against the authors' code, normalisation follows
the layer before it, with its running statistics; depthwise and dense convolutions are matched among themselves; and
layers without parameters have no part in cutting a network into blocks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlvcli.core.graph import Layer, LayerKind, ModelGraph
from tlvcli.core.plan import LayerMatch, Mapped, TransferPlan, assemble_plan
from tlvcli.core.runtime import make_generator
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.mapping.layer import map_follower, map_layer
from tlvcli.methods.matching.layers import describe_kinds, followers, warn_of_repeats
from tlvcli.methods.options import DpiatOptions

if TYPE_CHECKING:
    from torch import Tensor

    from tlvcli.methods.recipe import Mapper, Matcher

WEIGHTS: tuple[tuple[LayerKind, ...], ...] = (
    ("conv1d",),
    ("conv2d",),
    ("depthwise-conv2d",),
    ("conv3d",),
    ("conv-transpose",),
    ("linear",),
)
NORMALISATION: tuple[tuple[LayerKind, ...], ...] = (("batch-norm",), ("norm",))


def plan_dpiat(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: DpiatOptions,
    seed: int,
    match: Matcher,
    map_weight: Mapper,
) -> TransferPlan:
    """Plan every target tensor; normalisation that follows no layer is matched for itself."""
    groups = WEIGHTS if options.normalisation == "off" else WEIGHTS + NORMALISATION
    after = [followers(graph) if options.normalisation == "follow" else {} for graph in (source_graph, target_graph)]
    bare = [
        graph.without({layer.name for layer in found.values()})
        for graph, found in zip((source_graph, target_graph), after, strict=True)
    ]
    matches = match(*bare, groups=groups)
    parts = [Mapped((), warnings=warn_of_repeats(matches))]
    for found in matches:
        stream = make_generator(seed, "dpiat", found.target.name)
        mapped = map_layer(found, source, target, map_weight=map_weight, generator=stream)
        parts.append(mapped)
        if follower := after[1].get(found.target.name):
            parts.append(map_follower(_follow(found, follower, after[0]), mapped.outputs))
    return assemble_plan(
        target_graph, parts, reason="dpiat maps convolutions, linear layers and normalisation: the target's own value"
    )


def _follow(match: LayerMatch, follower: Layer, after: Mapping[str, Layer]) -> LayerMatch:
    """Return which source normalisation feeds the one after a matched layer: the one after the layer's source."""
    if match.source is None:
        return LayerMatch(follower, None, f"follows {match.target.name}: {match.reason}")
    found = after.get(match.source.name)
    if found is None or found.kind != follower.kind:
        return LayerMatch(follower, None, f"no {describe_kinds((follower.kind,))} after {match.source.name}")
    return LayerMatch(follower, found, f"follows {match.target.name}")

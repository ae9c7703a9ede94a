"""Matching by dynamic programming: source and target in order, one source may feed a run of targets.

From DPIAT ("Breaking the Architecture Barrier", `iatransfer`); the recurrence is in `alignment`.
"""

from __future__ import annotations

from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import LayerMatch
from tlvcli.methods.matching.alignment import align_items
from tlvcli.methods.matching.layers import Groups, matches_of, standardise
from tlvcli.methods.matching.options import BlockOptions
from tlvcli.methods.matching.score import shape_score


def match_by_dp(
    source: ModelGraph, target: ModelGraph, *, groups: Groups, options: BlockOptions
) -> tuple[LayerMatch, ...]:
    """Match what scores best by shape while the order of both networks is kept; some targets stay without a source."""
    sources, targets = (standardise(graph, groups, options.standardisation) for graph in (source, target))
    pairs = align_items(sources, targets, shape_score)
    return matches_of(pairs, source, target, groups, otherwise="the alignment leaves this layer out")

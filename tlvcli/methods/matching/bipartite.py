"""Bipartite matching: each source feeds at most one target, and order counts as nearness only (DPIAT's Bipartite)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import linear_sum_assignment

from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import LayerMatch
from tlvcli.methods.matching.alignment import layers_of, score_matrix
from tlvcli.methods.matching.layers import Groups, matches_of, standardise
from tlvcli.methods.matching.options import BlockOptions
from tlvcli.methods.matching.score import shape_score

if TYPE_CHECKING:
    from numpy.typing import NDArray


def match_bipartite(
    source: ModelGraph, target: ModelGraph, *, groups: Groups, options: BlockOptions
) -> tuple[LayerMatch, ...]:
    """Match one to one with the largest sum of scores, each weighted by how near the two are in relative depth.

    Layers within matched blocks are matched by dynamic programming.
    """
    sources, targets = (standardise(graph, groups, options.standardisation) for graph in (source, target))
    scores = nearness(len(sources), len(targets)) * score_matrix(sources, targets, shape_score)
    pairs = (
        pair
        for row, column in zip(*linear_sum_assignment(scores, maximize=True), strict=True)
        if scores[row, column] > 0
        for pair in layers_of(sources[column], targets[row], shape_score)
    )
    return matches_of(pairs, source, target, groups, otherwise="the assignment leaves this layer out")


def nearness(num_sources: int, num_targets: int) -> NDArray[np.float64]:
    """Return [targets, sources]: 1 - (i / targets - j / sources)^2, counted from 0."""
    depths = (np.arange(count) / count for count in (num_targets, num_sources))
    return 1.0 - np.square(np.subtract.outer(*depths))

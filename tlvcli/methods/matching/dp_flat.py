"""Flat matching by dynamic programming: every target layer chooses its source, steps back cost (DPIAT's DPFlat).

    D(i, j) = max(D(i-1, j), D(i, j-1), s(i, j) + max_k (D(i-1, k) - penalty * max(0, k - j + 1)))

so a source that feeds two targets in turn is one step back.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import LayerMatch
from tlvcli.methods.matching.alignment import score_matrix
from tlvcli.methods.matching.layers import Groups, matches_of, standardise
from tlvcli.methods.matching.options import FlatOptions
from tlvcli.methods.matching.score import shape_score

if TYPE_CHECKING:
    from numpy.typing import NDArray

_UP, _LEFT = -1, -2  # the target, or the source, stays without a partner


def match_by_dp_flat(
    source: ModelGraph, target: ModelGraph, *, groups: Groups, options: FlatOptions
) -> tuple[LayerMatch, ...]:
    """Match single layers by shape, nearly in order: the source may be re-read at a price."""
    sources, targets = (standardise(graph, groups, "flat") for graph in (source, target))
    scores = score_matrix(sources, targets, shape_score)
    pairs = ((sources[column], targets[row]) for row, column in trace_path(scores, options.penalty)[1])
    return matches_of(pairs, source, target, groups, otherwise="the best path leaves this layer out")


def trace_path(scores: NDArray[np.float64], penalty: float) -> tuple[float, list[tuple[int, int]]]:
    """Return the best value for `scores` [targets, sources], and its pairs (target, source) by target."""
    num_targets, num_sources = scores.shape
    steps = np.arange(num_sources + 1) - np.arange(1, num_sources + 1)[:, None]  # [j, k]: k - j
    prices = penalty * np.maximum(0, steps + 1)
    best = np.zeros((num_targets + 1, num_sources + 1))
    comes_from = np.zeros((num_targets + 1, num_sources + 1), dtype=np.int64)
    for i in range(1, num_targets + 1):
        reached = best[i - 1] - prices
        origin = reached.argmax(axis=1)
        value, above = reached[np.arange(num_sources), origin] + scores[i - 1], best[i - 1, 1:]
        is_alike = scores[i - 1] > 0  # two layers that are not alike are no pair, however cheap
        best[i, 1:] = np.maximum.accumulate(np.where(is_alike, np.maximum(value, above), above))
        left = best[i, :-1]
        comes_from[i, 1:] = np.where(left > above, _LEFT, _UP)
        is_pair = is_alike & (value > np.maximum(above, left))
        comes_from[i, 1:][is_pair] = origin[is_pair]
    return float(best[-1, -1]), _walk_back(comes_from)


def _walk_back(comes_from: NDArray[np.int64]) -> list[tuple[int, int]]:
    pairs = []
    i, j = (size - 1 for size in comes_from.shape)
    while i > 0 and j > 0:
        origin = int(comes_from[i, j])
        if origin == _LEFT:
            j -= 1
            continue
        i -= 1
        if origin >= 0:
            pairs.append((i, j - 1))
            j = origin
    return pairs[::-1]

"""Alignment in order: one source item may feed a run of target items (the dynamic programme of DPIAT).

    D(i, j) = max(D(i-1, j), D(i, j-1), max_k D(k-1, j-1) + (s(k, j) + ... + s(i, j)) / sqrt(i - k + 1))

A run of d targets scores the sum of their likeness over sqrt(d): repeating a source pays, but less each time.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from tlvcli.methods.matching.items import Form, Item

if TYPE_CHECKING:
    from numpy.typing import NDArray

Score = Callable[[Form | None, Form | None], float]

_UP, _LEFT = -1, -2  # the target, or the source, stays without a partner


def align(scores: NDArray[np.float64]) -> tuple[float, list[tuple[int, int]]]:
    """Return the best value for `scores` [targets, sources], and pairs (target, source) in ascending order.

    Where values tie, a pair loses to none, a long run to a short one, and the source is left out before the target.
    """
    num_targets, num_sources = scores.shape
    best = np.zeros((num_targets + 1, num_sources + 1))
    begins = np.full((num_targets + 1, num_sources + 1), _UP)
    roots = np.array([length**0.5 for length in range(1, num_targets + 1)])[:, None]
    columns = np.arange(num_sources)
    for i in range(1, num_targets + 1):
        # Row r: the run of r + 1 targets that ends at target i, for every source; summed in this order to the bit.
        sums = np.cumsum(scores[i - 1 :: -1], axis=0)
        values = sums / roots[:i] + best[i - 1 :: -1, :-1]
        longest = values.argmax(axis=0)
        value, above = values[longest, columns], best[i - 1, 1:]
        best[i, 1:] = np.maximum.accumulate(np.maximum(above, value))
        left = best[i, :-1]
        begins[i, 1:] = np.where(above > left, _UP, _LEFT)
        is_run = value > np.maximum(above, left)
        begins[i, 1:][is_run] = i - 1 - longest[is_run]
    return float(best[-1, -1]), _trace(begins, scores)


def align_items(sources: Sequence[Item], targets: Sequence[Item], score: Score) -> list[tuple[Item, Item]]:
    """Return pairs (source layer, target layer) in the targets' order; matched blocks are aligned within."""
    _, pairs = align(score_matrix(sources, targets, score))
    return [pair for target, source in pairs for pair in layers_of(sources[source], targets[target], score)]


def layers_of(source: Item, target: Item, score: Score) -> list[tuple[Item, Item]]:
    """Return the pairs of layers that two matched items stand for."""
    return align_items(source.items, target.items, score) if target.items else [(source, target)]


def score_matrix(sources: Sequence[Item], targets: Sequence[Item], score: Score) -> NDArray[np.float64]:
    """Return [targets, sources]: the score of two layers, the best value of two blocks, 0 of a layer and a block."""
    # Networks repeat themselves: what is alike in form is compared once.
    rows, columns = ({item: number for number, item in enumerate(dict.fromkeys(items))} for items in (targets, sources))
    distinct = [[_compare(source, target, score) for source in columns] for target in rows]
    matrix = np.array(distinct, dtype=np.float64).reshape(len(rows), len(columns))
    return matrix[[rows[item] for item in targets]][:, [columns[item] for item in sources]]


def _compare(source: Item, target: Item, score: Score) -> float:
    if source.items and target.items:
        return align(score_matrix(source.items, target.items, score))[0]
    return 0.0 if source.items or target.items else score(source.form, target.form)


def _trace(begins: NDArray[np.int64], scores: NDArray[np.float64]) -> list[tuple[int, int]]:
    pairs = []
    i, j = (size - 1 for size in begins.shape)
    while i > 0 and j > 0:
        begin = int(begins[i, j])
        if begin == _UP:
            i -= 1
            continue
        j -= 1
        if begin != _LEFT:
            pairs += [(target, j) for target in range(i - 1, begin - 1, -1) if scores[target, j] > 0]
            i = begin
    return pairs[::-1]

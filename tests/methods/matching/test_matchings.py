"""Every matching against a plain second formula, and on numbers one can check by hand."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from torch import nn

from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import LayerMatch
from tlvcli.methods.dpiat import WEIGHTS
from tlvcli.methods.matching.alignment import align
from tlvcli.methods.matching.bipartite import nearness
from tlvcli.methods.matching.dp_flat import trace_path
from tlvcli.methods.table import MATCHINGS
from tlvcli.models.graph import graph_of_module


def _random_scores(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    return random.choice([0.0, 0.25, 0.5, 1.0, random.random()], size=random.integers(1, 6, size=2))


def _value_of(scores: np.ndarray, pairs: list[tuple[int, int]]) -> float:
    """The score of the runs in an alignment: each source's sum over the root of its run, gaps in a run included."""
    total = 0.0
    for source in {source for _, source in pairs}:
        run = [target for target, other in pairs if other == source]
        length = max(run) - min(run) + 1
        total += sum(scores[target, source] for target in run) / length**0.5
    return total


def _slow_best(scores: np.ndarray) -> float:
    """The recurrence, as the authors state it, written as a recursion over prefixes."""

    def best(targets: int, sources: int) -> float:
        if not targets or not sources:
            return 0.0
        runs = (
            best(begin, sources - 1) + float(scores[begin:targets, sources - 1].sum()) / (targets - begin) ** 0.5
            for begin in range(targets)
        )
        return max(best(targets - 1, sources), best(targets, sources - 1), *runs)

    return best(*scores.shape)


@pytest.mark.parametrize("seed", range(40))
def test_alignment_is_the_best_there_is(seed: int) -> None:
    scores = _random_scores(seed)
    value, pairs = align(scores)
    assert value == pytest.approx(_slow_best(scores))
    assert pairs == sorted(pairs)
    assert [source for _, source in pairs] == sorted(source for _, source in pairs)
    assert len({target for target, _ in pairs}) == len(pairs)
    assert all(scores[pair] > 0 for pair in pairs)
    assert _value_of(scores, pairs) >= value - 1e-12


@pytest.mark.parametrize(
    ("scores", "value", "pairs"),
    [
        ([[1.0]] * 4, 2.0, [(0, 0), (1, 0), (2, 0), (3, 0)]),
        ([[1.0, 1.0]], 1.0, [(0, 0)]),
        ([[0.5, 0.1], [0.1, 0.5]], 1.0, [(0, 0), (1, 1)]),
        ([[0.0, 1.0], [1.0, 0.0]], 1.0, [(1, 0)]),
        ([[0.0]], 0.0, []),
        ([[1.0], [0.0], [1.0]], 2 / 3**0.5, [(0, 0), (2, 0)]),
    ],
)
def test_alignment_by_hand(scores: list[list[float]], value: float, pairs: list[tuple[int, int]]) -> None:
    assert align(np.array(scores)) == (pytest.approx(value), pairs)


def test_nothing_aligns_with_nothing() -> None:
    assert align(np.zeros((0, 3))) == align(np.zeros((3, 0))) == (0.0, [])
    assert trace_path(np.zeros((0, 3)), 0.5) == trace_path(np.zeros((3, 0)), 0.5) == (0.0, [])


def _slow_path(scores: np.ndarray, penalty: float) -> float:
    """Every way to give each target a source or none."""
    num_targets, num_sources = scores.shape
    totals = [0.0]
    for choice in product(range(-1, num_sources), repeat=num_targets):
        total, last = 0.0, -1
        for target, source in enumerate(choice):
            if source >= 0 and scores[target, source] > 0:
                total += scores[target, source] - penalty * max(0, last - source + 1)
                last = source
        totals.append(total)
    return max(totals)


@pytest.mark.parametrize("seed", range(30))
@pytest.mark.parametrize("penalty", [0.0, 0.5])
def test_flat_path_is_the_best_there_is(seed: int, penalty: float) -> None:
    scores = _random_scores(seed)
    value, pairs = trace_path(scores, penalty)
    assert value == pytest.approx(_slow_path(scores, penalty))
    steps = zip([-1, *(source for _, source in pairs)], (source for _, source in pairs), strict=False)
    price = sum(penalty * max(0, before - source + 1) for before, source in steps)
    assert sum(scores[pair] for pair in pairs) - price == pytest.approx(value)


def test_a_step_back_is_taken_where_it_pays() -> None:
    scores = np.array([[0.0, 1.0], [1.0, 0.0]])
    assert trace_path(scores, 0.5)[0] == 1.0  # from source 1 back to 0 is two steps: a price of 1 for a gain of 1
    assert trace_path(scores, 0.4) == (pytest.approx(1.2), [(0, 1), (1, 0)])
    assert trace_path(np.ones((3, 1)), 0.5) == (pytest.approx(2.0), [(0, 0), (1, 0), (2, 0)])


def _net(*widths: int) -> ModelGraph:
    return graph_of_module(nn.Sequential(*(nn.Conv2d(width, width, 3) for width in widths)))


def _match(method: str, source: ModelGraph, target: ModelGraph, **choices: str) -> tuple[LayerMatch, ...]:
    entry = next(entry for entry in MATCHINGS if entry.name == method)
    matches: tuple[LayerMatch, ...] = entry.load_function()(
        source, target, groups=WEIGHTS, options=entry.load_options()(**choices)
    )
    return matches


def _fed(matches: tuple[LayerMatch, ...]) -> list[str | None]:
    return [match.source.name if match.source else None for match in matches]


@pytest.mark.parametrize(
    ("method", "expected"),
    [
        ("index", ["0", "1", "1", "2", "2"]),  # by depth: round(3 i / 5)
        # By shape: 4 4 | 8 | 16 16.
        ("dp", ["0", "0", "1", "2", "2"]),
        ("dp-flat", ["0", "0", "1", "2", "2"]),
    ],
)
def test_a_deeper_target_repeats_sources(method: str, expected: list[str]) -> None:
    assert _fed(_match(method, _net(4, 8, 16), _net(4, 4, 8, 16, 16))) == expected


def test_order_is_kept_by_alignment_and_not_by_assignment() -> None:
    source, target = _net(4, 64), _net(64, 4)
    assert _fed(_match("bipartite", source, target)) == ["1", "0"]
    assert _fed(_match("dp", source, target)).count(None) == 1


def test_assignment_is_the_best_of_all() -> None:
    source, target = _net(3, 9, 5, 7), _net(8, 4, 4)
    weights = nearness(4, 3) * np.array([[min(a / b, b / a) ** 2 for a in (3, 9, 5, 7)] for b in (8, 4, 4)])
    best = max(
        permutations(range(4), 3), key=lambda order: sum(weights[row, column] for row, column in enumerate(order))
    )
    assert _fed(_match("bipartite", source, target)) == [str(column) for column in best]
    assert nearness(2, 4)[3, 0] == 1 - 0.75**2


def test_blocks_are_aligned_within() -> None:
    def net(*blocks: tuple[int, ...]) -> ModelGraph:
        cut = (nn.Sequential(*(nn.Conv2d(width, width, 3) for width in block)) for block in blocks)
        return graph_of_module(nn.Sequential(*cut))

    source, target = net((4, 8), (16, 32)), net((8, 4, 8), (16, 32), (16, 32))
    assert _fed(_match("dp", source, target)) == [None, "0.0", "0.1", "1.0", "1.1", "1.0", "1.1"]
    assert _fed(_match("bipartite", source, target)).count(None) == 3  # one block of the target has no partner
    assert _fed(_match("dp", source, target, standardisation="flat")) != _fed(_match("dp", source, target))


@pytest.mark.parametrize("method", [entry.name for entry in MATCHINGS])
def test_every_layer_of_the_groups_has_a_match_with_a_reason(method: str) -> None:
    source = graph_of_module(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(4, 2)))
    target = graph_of_module(nn.Sequential(nn.Linear(4, 2), nn.Conv1d(2, 2, 3), nn.BatchNorm1d(2), nn.Conv2d(3, 4, 1)))
    matches = _match(method, source, target)
    assert sorted(match.target.name for match in matches) == ["0", "1", "3"]
    reasons = {match.target.name: match.reason for match in matches}
    assert reasons["1"] == "the source has no 1-D convolution"
    assert all(reasons.values())
    for match in matches:
        assert match.source is None or match.source.kind == match.target.kind

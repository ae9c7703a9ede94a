"""What is chosen, tested, trained again and cleared away, on grids whose records are written by hand."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from tlvcli.pipelines.comparing.choice import choose_point, choose_points, choose_winner
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.grid import Cell, Grid, make_grid
from tlvcli.pipelines.comparing.plan import cells_to_test, cells_to_train, checkpoints_to_drop, trained_cells
from tlvcli.pipelines.comparing.records import NOTHING, Record, Trained
from tlvcli.pipelines.comparing.summary import epochs_until, summarise


@pytest.fixture
def grid() -> Grid:
    """Two methods, three rates, two seeds."""
    config = CompareConfig(
        source="a.pth",
        target_arch="resnet18",
        data="digits",
        out="cmp",
        methods="he,tlv",
        grid=["lr=0.1,0.01,0.001"],
        seeds=2,
    )
    return make_grid(config)


def _record(*epochs: float, test: float | None = None, checkpoint: bool = True) -> Record:
    best = max(epochs)
    return Record(Trained(epochs, epochs.index(best) + 1, best, 0.5, 1.0), test, has_checkpoint=checkpoint)


def _all(grid: Grid, vals: dict[str, tuple[float, float, float]]) -> dict[Cell, Record]:
    """Records with the same val of all seeds but for a thousandth, by method and rate."""
    return {
        cell: _record(
            0.2, vals[str(cell.variant.method)][grid.points[cell.variant].index(cell.point)] + cell.seed / 1e3
        )
        for cell in grid.cells
    }


def _names(cells: list[Cell]) -> list[str]:
    return [f"{cell.variant.method} {cell.point.text} {cell.seed}" for cell in cells]


def test_val_chooses_and_only_the_chosen_and_the_default_are_tested(grid: Grid) -> None:
    records = _all(grid, {"he": (0.5, 0.7, 0.6), "tlv": (0.9, 0.8, 0.7)})
    chosen = choose_points(grid, trained_cells(records))
    assert [point.text for point in chosen.values()] == ["lr=0.01", "lr=0.1"]
    assert sorted(_names(cells_to_test(grid, records, ()))) == [
        *("he lr=0.01 0", "he lr=0.01 1", "he lr=0.1 0", "he lr=0.1 1"),
        *("tlv lr=0.1 0", "tlv lr=0.1 1"),
    ]


def test_no_test_figure_changes_what_is_chosen(grid: Grid) -> None:
    records = _all(grid, {"he": (0.5, 0.7, 0.6), "tlv": (0.9, 0.8, 0.7)})
    trained = trained_cells(records)
    chosen, draw = choose_points(grid, trained), Random(0)
    for _ in range(20):
        tested = {cell: replace(record, test_top1=draw.random()) for cell, record in records.items()}
        found = summarise(grid, tested, has_test=True)
        assert choose_points(grid, trained_cells(tested)) == chosen
        assert found.winner == choose_winner(grid, chosen, trained)
        assert [point.is_chosen for row in found.variants for point in row.points] == [
            point == chosen[variant] for variant in grid.variants for point in grid.points[variant]
        ]


def test_nothing_is_tested_before_all_points_of_its_variant_are_trained(grid: Grid) -> None:
    records = _all(grid, {"he": (0.5, 0.7, 0.6), "tlv": (0.9, 0.8, 0.7)})
    open_one = grid.cells[-1]
    records[open_one] = NOTHING
    assert {cell.variant.method for cell in cells_to_test(grid, records, ())} == {"he"}
    assert list(cells_to_train(grid, records, (), has_test=True, keep="best")) == [open_one]
    # A cell that failed is not waited for.
    assert {cell.variant.method for cell in cells_to_test(grid, records, {open_one})} == {"he", "tlv"}


def test_equal_points_leave_the_default_and_missing_seeds_come_last(grid: Grid) -> None:
    points = grid.points[grid.variants[0]]
    assert choose_point(points, {point: [0.5, 0.5] for point in points}) == points[0]
    assert choose_point(points, {points[0]: [0.4, 0.4], points[1]: [0.99], points[2]: [0.5, 0.4]}) == points[2]


def test_a_checkpoint_goes_once_nothing_needs_it(grid: Grid) -> None:
    records = _all(grid, {"he": (0.5, 0.7, 0.6), "tlv": (0.9, 0.8, 0.7)})
    dropped = checkpoints_to_drop(grid, records, (), has_test=True, keep="best")
    assert sorted(_names(dropped)) == [
        *("he lr=0.001 0", "he lr=0.001 1"),
        *("tlv lr=0.001 0", "tlv lr=0.001 1", "tlv lr=0.01 0", "tlv lr=0.01 1"),
    ]
    tested = {cell: replace(record, test_top1=0.5) for cell, record in records.items()}
    left = set(grid.cells) - set(checkpoints_to_drop(grid, tested, (), has_test=True, keep="best"))
    assert _names(list(left)) == ["tlv lr=0.1 1"]  # the better seed of the best variant
    assert checkpoints_to_drop(grid, tested, (), has_test=True, keep="all") == []
    assert len(checkpoints_to_drop(grid, tested, (), has_test=True, keep="none")) == len(grid.cells)


def test_a_checkpoint_that_is_needed_again_is_trained_again(grid: Grid) -> None:
    records = _all(grid, {"he": (0.5, 0.7, 0.6), "tlv": (0.9, 0.8, 0.7)})
    gone = {cell: replace(record, has_checkpoint=False, test_top1=0.5) for cell, record in records.items()}
    (winner,) = cells_to_train(grid, gone, (), has_test=True, keep="best")
    assert _names([winner]) == ["tlv lr=0.1 1"]
    assert list(cells_to_train(grid, gone, (), has_test=True, keep="none")) == []
    # Another point becomes the best of he, as when a seed is added: it was never tested.
    for cell in grid.cells_of(grid.variants[0], grid.points[grid.variants[0]][2:]):
        gone[cell] = replace(_record(0.8), has_checkpoint=False)
    assert _names(list(cells_to_train(grid, gone, (), has_test=True, keep="none"))) == [
        "he lr=0.001 0",
        "he lr=0.001 1",
    ]


def test_the_baseline_is_reached_where_the_mean_curve_reaches_its_last_value(grid: Grid) -> None:
    records = {cell: _record(0.1, 0.2, 0.3) for cell in grid.cells}
    _, tlv = grid.variants
    for cell, epochs in zip(
        grid.cells_of(tlv, grid.points[tlv][:1]), [(0.2, 0.25, 0.9), (0.3, 0.45, 0.5)], strict=True
    ):
        records[cell] = _record(*epochs)
    found = summarise(grid, records, has_test=False)
    assert found.baseline_final == pytest.approx(0.3)
    assert [row.epochs_to_baseline for row in found.variants] == [3, 2]  # means 0.25, 0.35, 0.7
    assert [point.mean for point in found.variants[1].curve] == pytest.approx([0.25, 0.35, 0.7])
    assert epochs_until(found.variants[0].curve, 0.31) is None


def test_a_curve_ends_where_the_first_seed_stopped(grid: Grid) -> None:
    records = {cell: _record(0.1, 0.2, 0.3) for cell in grid.cells}
    records[grid.cells[0]] = _record(0.3, 0.6)
    (first, _) = summarise(grid, records, has_test=False).variants
    assert [(point.epoch, point.mean) for point in first.curve] == [(1, pytest.approx(0.2)), (2, pytest.approx(0.4))]

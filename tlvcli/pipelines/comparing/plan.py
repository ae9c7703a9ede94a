"""What is left to do: which cells to train, which to test, and whose checkpoints nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tlvcli.pipelines.comparing.choice import choose_points, choose_winner
from tlvcli.pipelines.comparing.config import Keep
from tlvcli.pipelines.comparing.grid import Cell, Grid, Variant
from tlvcli.pipelines.comparing.records import Record, Trained


def trained_cells(records: Mapping[Cell, Record]) -> dict[Cell, Trained]:
    """Return the cells that are trained."""
    return {cell: record.trained for cell, record in records.items() if record.trained is not None}


def cells_to_train(
    grid: Grid, records: Mapping[Cell, Record], failed: Collection[Cell], *, has_test: bool, keep: Keep
) -> Iterator[Cell]:
    """Yield the cells to train now, in order: new ones, and those whose checkpoint went before it was needed again.

    That happens where a grid has grown, and another point is now the best of its variant.
    """
    for cell in grid.cells:
        if cell not in failed and records[cell].trained is None:
            yield cell
    needed = cells_to_test(grid, records, failed) if has_test else ()
    for cell in (*needed, *_winner(grid, records, failed, keep)):
        if cell not in failed and not records[cell].has_checkpoint:
            yield cell


def cells_to_test(grid: Grid, records: Mapping[Cell, Record], failed: Collection[Cell]) -> list[Cell]:
    """Return the cells whose test is missing: those of the chosen and the default point of variants that are trained.

    What a cell scores on the test data is read by nothing that chooses.
    """
    trained = trained_cells(records)
    chosen = choose_points(grid, trained)
    cells = []
    for variant in grid.variants:
        if _is_complete(grid, variant, records, failed):
            points = dict.fromkeys((chosen[variant], grid.points[variant][0]))
            cells += [
                cell
                for cell in grid.cells_of(variant, points)
                if cell in trained and cell not in failed and records[cell].test_top1 is None
            ]
    return cells


def checkpoints_to_drop(
    grid: Grid, records: Mapping[Cell, Record], failed: Collection[Cell], *, has_test: bool, keep: Keep
) -> list[Cell]:
    """Return the cells whose best checkpoint can go; the best of the variants that are done stays, or none."""
    if keep == "all":
        return []
    waiting = set(cells_to_test(grid, records, failed)) if has_test else set()
    done = [variant for variant in grid.variants if _is_complete(grid, variant, records, failed)]
    kept = set(_best_of(grid, done, records)) if keep == "best" else set()
    cells = [cell for variant in done for cell in grid.cells_of(variant)]
    return [cell for cell in cells if records[cell].has_checkpoint and cell not in waiting | kept]


def _winner(grid: Grid, records: Mapping[Cell, Record], failed: Collection[Cell], keep: Keep) -> list[Cell]:
    """Return the best cell of all once all are done, if its checkpoint is to stay."""
    is_complete = all(_is_complete(grid, variant, records, failed) for variant in grid.variants)
    return [] if keep == "none" or not is_complete else _best_of(grid, grid.variants, records)


def _best_of(grid: Grid, variants: Collection[Variant], records: Mapping[Cell, Record]) -> list[Cell]:
    trained = trained_cells(records)
    chosen = {variant: point for variant, point in choose_points(grid, trained).items() if variant in variants}
    winner = choose_winner(grid, chosen, trained)
    return [] if winner is None else [winner]


def _is_complete(grid: Grid, variant: Variant, records: Mapping[Cell, Record], failed: Collection[Cell]) -> bool:
    return all(cell in failed or records[cell].trained is not None for cell in grid.cells_of(variant))

"""Which settings of a variant are the best, and which cell of all: by val alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import mean

from tlvcli.pipelines.comparing.grid import Cell, Grid, Point, Variant
from tlvcli.pipelines.comparing.records import Trained


def choose_point(points: Sequence[Point], vals: Mapping[Point, Sequence[float]]) -> Point:
    """Return the point with the best mean of `vals`, val top-1 by seed; of equal ones the first.

    A point that lacks seeds, because cells failed, comes after those that have more.
    """

    def merit(point: Point) -> tuple[int, float]:
        found = vals.get(point, ())
        return len(found), mean(found) if found else 0.0

    return max(points, key=merit)


def choose_points(grid: Grid, trained: Mapping[Cell, Trained]) -> dict[Variant, Point]:
    """Return the chosen point of each variant."""
    return {
        variant: choose_point(points, {point: _vals(grid, variant, point, trained) for point in points})
        for variant, points in grid.points.items()
    }


def choose_winner(grid: Grid, chosen: Mapping[Variant, Point], trained: Mapping[Cell, Trained]) -> Cell | None:
    """Return the best seed of the best variant: of those with most seeds, the one with the best mean on val."""
    vals = {variant: _vals(grid, variant, point, trained) for variant, point in chosen.items()}
    finished = [variant for variant, found in vals.items() if found]
    if not finished:
        return None
    best = max(finished, key=lambda variant: (len(vals[variant]), mean(vals[variant])))
    cells = [cell for cell in grid.cells_of(best, [chosen[best]]) if cell in trained]
    return max(cells, key=lambda cell: trained[cell].val_top1)


def _vals(grid: Grid, variant: Variant, point: Point, trained: Mapping[Cell, Trained]) -> list[float]:
    return [trained[cell].val_top1 for cell in grid.cells_of(variant, [point]) if cell in trained]

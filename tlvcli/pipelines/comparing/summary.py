"""From what the cells left to the rows of the table."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

from tlvcli.pipelines.comparing.choice import choose_points, choose_winner
from tlvcli.pipelines.comparing.grid import Cell, Grid, Point, Variant
from tlvcli.pipelines.comparing.plan import trained_cells
from tlvcli.pipelines.comparing.records import Record, Trained
from tlvcli.pipelines.comparing.result import CurvePoint, PointResult, Spread, VariantResult
from tlvcli.pipelines.comparing.significance import Difference, holm, paired_difference


@dataclass(frozen=True)
class Summary:
    """The rows, and what stands above them; `winner` is the best cell on val."""

    variants: list[VariantResult]
    baseline_final: float | None
    winner: Cell | None


def summarise(grid: Grid, records: Mapping[Cell, Record], *, has_test: bool) -> Summary:
    """Return the table; differences are of test top-1, or of val where nothing is tested."""
    trained = trained_cells(records)
    chosen = choose_points(grid, trained)
    curves = {variant: _curve(grid, variant, chosen[variant], trained) for variant in grid.variants}
    last = curves[grid.baseline][-1].mean if curves[grid.baseline] else None
    differences = _differences(grid, chosen, records, has_test=has_test)
    rows = [
        _row(grid, variant, chosen[variant], records, curves[variant], last, differences.get(variant))
        for variant in grid.variants
    ]
    return Summary(rows, last, choose_winner(grid, chosen, trained))


def _row(
    grid: Grid,
    variant: Variant,
    chosen: Point,
    records: Mapping[Cell, Record],
    curve: list[CurvePoint],
    last: float | None,
    difference: Difference | None,
) -> VariantResult:
    points = [
        PointResult(
            settings=dict(point.settings),
            is_default=place == 0,
            is_chosen=point == chosen,
            val=_spread(grid, variant, point, records, _val),
            test=_spread(grid, variant, point, records, _test),
        )
        for place, point in enumerate(grid.points[variant])
    ]
    best = next(point for point in points if point.is_chosen)
    coverages = [
        record.trained.coverage
        for cell in grid.cells_of(variant, [chosen])
        if (record := records[cell]).trained is not None and record.trained.coverage is not None
    ]
    return VariantResult(
        name=variant.name,
        source=variant.source,
        method=variant.method,
        strategy=variant.strategy,
        is_baseline=variant == grid.baseline,
        points=points,
        settings=best.settings,
        coverage=mean(coverages) if coverages else None,
        val=best.val,
        test=best.test,
        default_test=points[0].test,
        curve=curve,
        epochs_to_baseline=epochs_until(curve, last),
        difference=difference,
    )


def epochs_until(curve: Sequence[CurvePoint], target: float | None) -> int | None:
    """Return the first epoch whose mean is at least `target`, None where none is."""
    if target is None:
        return None
    return next((point.epoch for point in curve if point.mean >= target), None)


def _curve(grid: Grid, variant: Variant, point: Point, trained: Mapping[Cell, Trained]) -> list[CurvePoint]:
    """Return mean and spread by epoch, as far as all seeds trained: a mean over fewer would jump where one stops."""
    runs = [trained[cell].epochs for cell in grid.cells_of(variant, [point]) if cell in trained]
    return [
        CurvePoint(epoch=epoch, mean=mean(values), spread=stdev(values) if len(values) > 1 else None)
        for epoch, values in enumerate(zip(*runs, strict=False), start=1)
    ]


def _differences(
    grid: Grid, chosen: Mapping[Variant, Point], records: Mapping[Cell, Record], *, has_test: bool
) -> dict[Variant, Difference]:
    figure = _test if has_test else _val
    by_seed = {
        variant: {
            cell.seed: value
            for cell in grid.cells_of(variant, [chosen[variant]])
            if (value := figure(records[cell])) is not None
        }
        for variant in grid.variants
    }
    base = by_seed[grid.baseline]
    found = {}
    for variant, values in by_seed.items():
        both = [seed for seed in grid.seeds if seed in values and seed in base]
        if variant != grid.baseline and both:
            found[variant] = paired_difference([values[seed] for seed in both], [base[seed] for seed in both])
    adjusted = holm([difference.p for difference in found.values()])
    return {
        variant: difference.model_copy(update={"p_holm": p})
        for (variant, difference), p in zip(found.items(), adjusted, strict=True)
    }


def _spread(
    grid: Grid,
    variant: Variant,
    point: Point,
    records: Mapping[Cell, Record],
    figure: Callable[[Record], float | None],
) -> Spread | None:
    found = {
        cell.seed: value for cell in grid.cells_of(variant, [point]) if (value := figure(records[cell])) is not None
    }
    if not found:
        return None
    values = list(found.values())
    return Spread(
        seeds=list(found), values=values, mean=mean(values), spread=stdev(values) if len(values) > 1 else None
    )


def _val(record: Record) -> float | None:
    return record.trained.val_top1 if record.trained else None


def _test(record: Record) -> float | None:
    # A cell that is to be trained again has no test that counts.
    return record.test_top1 if record.trained else None

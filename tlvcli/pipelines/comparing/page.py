"""The page of a comparison, from its result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tlvcli.core.report import InputInfo, OutputInfo, RunInfo
from tlvcli.core.wording import counted
from tlvcli.io.pages import write_page
from tlvcli.pages.comparison import render_comparison_page
from tlvcli.pages.comparison_values import CellView, ChartView, ComparisonPage, PointView, TableView
from tlvcli.pages.line_chart import COLOURS, Line, LinePoint, Reference
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.origin import compare_command
from tlvcli.pipelines.comparing.result import CellResult, CompareResult, CurvePoint
from tlvcli.pipelines.comparing.table import make_table, notes, settings_text, short_names, spread_text
from tlvcli.pipelines.page_origin import describe_origin


def write_comparison_page(
    config: CompareConfig,
    result: CompareResult,
    path: Path,
    *,
    inputs: Sequence[InputInfo],
    warnings: Sequence[str],
    ran: RunInfo,
) -> OutputInfo:
    """Write the page, over an earlier one."""
    table = make_table(result)
    names = [variant.name for variant in result.variants]
    page = ComparisonPage(
        heading=_heading(config),
        verdict=_verdict(result),
        table=TableView(table.rows, table.numbers, names.index(result.winner) if result.winner else None),
        notes=notes(result),
        charts=_charts(result),
        has_bands=any(point.spread is not None for variant in result.variants for point in variant.curve),
        reference=_reference(result),
        points=_points(result),
        cells=[_cell(cell) for cell in result.cells],
        origin=describe_origin(compare_command(config), inputs, (), warnings, ran, dated=True),
    )
    return write_page(path, render_comparison_page(page), force=True)


def _heading(config: CompareConfig) -> str:
    what = config.target_arch or ", ".join(Path(source).name for source in config.source)
    return f"{Path(what).name} on {Path(config.data).name}"


def _verdict(result: CompareResult) -> list[str]:
    cells = f"{counted(result.num_cells, 'cell')}, {result.num_trained} trained"
    cells += f", {result.num_failed} failed." if result.num_failed else "."
    best = next((variant for variant in result.variants if variant.name == result.winner), None)
    if best is None:
        return ["No cell was trained.", cells]
    settings = f" with {settings_text(best.settings)}" if best.settings else ""
    tested = f", {spread_text(best.test)} on test" if best.test else ""
    return [f"Best on val: {best.name}{settings}, {spread_text(best.val)} on val{tested}.", cells]


def _charts(result: CompareResult) -> list[ChartView]:
    """Return one chart, or one for each strategy where a single one would hold more lines than there are colours."""
    names = short_names(result.variants)
    drawn = [variant for variant in result.variants if variant.curve]
    lines = [(v.strategy, Line(names[v.name], [_point(point) for point in v.curve])) for v in drawn]
    if len(lines) <= COLOURS:
        return [ChartView("", [line for _, line in lines])] if lines else []
    strategies = dict.fromkeys(strategy for strategy, _ in lines)
    return [ChartView(wanted, [line for strategy, line in lines if strategy == wanted]) for wanted in strategies]


def _point(point: CurvePoint) -> LinePoint:
    spread = point.spread or 0.0
    return LinePoint(point.epoch, point.mean, point.mean - spread, point.mean + spread)


def _reference(result: CompareResult) -> Reference | None:
    if result.baseline_final is None:
        return None
    return Reference(f"{short_names(result.variants)[result.baseline]} after its last epoch", result.baseline_final)


def _points(result: CompareResult) -> list[PointView]:
    names = short_names(result.variants)
    return [
        PointView(
            variant=names[variant.name],
            settings=settings_text(point.settings),
            val=spread_text(point.val),
            test=spread_text(point.test),
            is_default=point.is_default,
            is_chosen=point.is_chosen,
        )
        for variant in result.variants
        if len(variant.points) > 1
        for point in variant.points
    ]


def _cell(cell: CellResult) -> CellView:
    outcome = cell.error or ""
    if cell.val_top1 is not None:
        outcome = f"val {cell.val_top1:.2%}" + ("" if cell.test_top1 is None else f", test {cell.test_top1:.2%}")
        outcome += f"; {cell.error}" if cell.error else ""
    return CellView(cell.name, outcome, cell.error is not None, cell.commands)

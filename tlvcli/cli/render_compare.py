"""What `tlv compare` shows at its end: the table, the best of it, and the files; or the commands of a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlvcli.cli.compare_progress import duration
from tlvcli.cli.console import plain_table, results, safe, size, write_sentence
from tlvcli.core.report import Report
from tlvcli.core.wording import counted
from tlvcli.pipelines.comparing.result import CellResult, CompareResult
from tlvcli.pipelines.comparing.table import NONE, Table, make_table, notes, settings_text, spread_text

if TYPE_CHECKING:
    from rich.console import Console

_GAP = 2


def render(report: Report[CompareResult], verbose: bool) -> None:
    """Draw the report; `verbose` shows every cell with its commands."""
    console, result = results(), report.result
    if report.config["dry_run"]:
        _write_commands(console, result)
        return
    has_intervals = _write_table(console, result)
    for note in notes(result, brief=not has_intervals):
        write_sentence(console, safe(note))
    if verbose:
        _say(console, "")
        for cell in result.cells:
            _write_cell(console, cell)
    _write_best(console, result)
    for output in report.outputs:
        _say(console, f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}")


def _say(console: Console, line: str) -> None:
    """Write what may be copied, as commands and paths: in one piece."""
    console.print(line, soft_wrap=True)


def _write_table(console: Console, result: CompareResult) -> bool:
    """Draw what the terminal has room for, and return whether intervals are in it.

    That is the whole table, or a brief one, or a brief one with names on lines of their own above their figures.
    """
    if not console.is_terminal:
        console.width = 10**4  # nobody wraps what is piped
    whole, brief = make_table(result), make_table(result, brief=True)
    best = next((place for place, each in enumerate(result.variants) if each.name == result.winner), None)
    fitting = next((table for table in (whole, brief) if sum(_widths(table.rows)) - _GAP <= console.width), None)
    if fitting:
        _write_rows(console, fitting, best)
    else:
        _write_stacked(console, brief, best)
    console.print()
    return fitting is whole


def _write_rows(console: Console, table: Table, best: int | None) -> None:
    head, *rows = table.rows
    drawn = plain_table(*head, right=[head[column] for column in table.numbers])
    for place, row in enumerate(rows):
        drawn.add_row(*map(safe, row), style="bold" if place == best else None)
    console.print(drawn)


def _write_stacked(console: Console, table: Table, best: int | None) -> None:
    figures = [[row[column] for column in table.numbers] for row in table.rows]
    widths = _widths(figures)
    lines = ["".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in figures]
    console.print(f"[bold]{lines[0]}[/]")
    for place, (row, line) in enumerate(zip(table.rows[1:], lines[1:], strict=True)):
        name = ", ".join(cell for column, cell in enumerate(row) if column not in table.numbers and cell != NONE)
        style = "bold" if place == best else None
        console.print(safe(name), style=style)
        console.print(line, style=style)


def _widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Return the cells of the terminal that each column takes, with the gap beside it."""
    from rich.cells import cell_len

    return [max(map(cell_len, column)) + _GAP for column in zip(*rows, strict=True)]


def _write_best(console: Console, result: CompareResult) -> None:
    failed = f", [red]{result.num_failed} failed[/]" if result.num_failed else ""
    seconds = sum(cell.seconds or 0.0 for cell in result.cells)
    write_sentence(
        console,
        f"{counted(result.num_cells, 'cell')}, {result.num_trained} trained{failed}, {duration(seconds)} of training"
        + ("; compare.html says why" if result.num_failed else ""),
    )
    best = next((variant for variant in result.variants if variant.name == result.winner), None)
    if best:
        settings = f" with {safe(settings_text(best.settings))}" if best.settings else ""
        tested = f", {spread_text(best.test)} on test" if best.test else ""
        write_sentence(console, f"best on val: [bold]{safe(best.name)}[/]{settings}: {spread_text(best.val)}{tested}")


def _write_commands(console: Console, result: CompareResult) -> None:
    if result.threads:
        _say(console, f"export OMP_NUM_THREADS={result.threads}")
    for cell in result.cells:
        _write_cell(console, cell)
    several = any(len(variant.points) > 1 for variant in result.variants)
    chosen = "; eval only with the settings that val chooses, and with the default ones" if several else ""
    at_once = f"{result.jobs} at once, up to {size(result.disk_bytes)} of disk"
    _say(console, f"# {counted(result.num_cells, 'cell')}, {at_once}{chosen}")


def _write_cell(console: Console, cell: CellResult) -> None:
    outcome = f": {cell.error}" if cell.error else ""
    if cell.val_top1 is not None:
        outcome += f": val {cell.val_top1:.2%}" + ("" if cell.test_top1 is None else f", test {cell.test_top1:.2%}")
    _say(console, f"# {safe(cell.name)}{safe(outcome)}")
    for command in cell.commands:
        _say(console, safe(command))

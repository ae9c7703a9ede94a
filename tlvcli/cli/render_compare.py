"""What `tlv compare` shows at its end: the table, the best of it, and the files; or the commands of a dry run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.cli.compare_progress import duration
from tlvcli.cli.console import plain_table, results, safe, size
from tlvcli.core.report import Report
from tlvcli.core.wording import counted
from tlvcli.pipelines.comparing.result import CellResult, CompareResult
from tlvcli.pipelines.comparing.table import make_table, notes, settings_text, spread_text

if TYPE_CHECKING:
    from rich.console import Console


def render(report: Report[CompareResult], verbose: bool) -> None:
    """Draw the report; `verbose` shows every cell with its commands."""
    console, result = results(), report.result
    if report.config["dry_run"]:
        _write_commands(console, result)
        return
    _write_table(console, result)
    for note in notes(result):
        _say(console, safe(note))
    if verbose:
        _say(console, "")
        for cell in result.cells:
            _write_cell(console, cell)
    _write_best(console, result)
    for output in report.outputs:
        _say(console, f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}")


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)


def _write_table(console: Console, result: CompareResult) -> None:
    table = make_table(result, brief=console.is_terminal)
    head, *rows = table.rows
    drawn = plain_table(*head, right=[head[column] for column in table.numbers])
    for column in drawn.columns:
        column.no_wrap = False
    for variant, row in zip(result.variants, rows, strict=True):
        drawn.add_row(*map(safe, row), style="bold" if variant.name == result.winner else None)
    if not console.is_terminal:
        console.width = 10**4  # nobody wraps what is piped
    console.print(drawn, "")


def _write_best(console: Console, result: CompareResult) -> None:
    failed = f", [red]{result.num_failed} failed[/]; --verbose names them" if result.num_failed else ""
    seconds = sum(cell.seconds or 0.0 for cell in result.cells)
    _say(
        console,
        f"{counted(result.num_cells, 'cell')}, {result.num_trained} trained{failed}, {duration(seconds)} of training",
    )
    best = next((variant for variant in result.variants if variant.name == result.winner), None)
    if best:
        settings = f" with {safe(settings_text(best.settings))}" if best.settings else ""
        tested = f", {spread_text(best.test)} on test" if best.test else ""
        _say(console, f"best on val: [bold]{safe(best.name)}[/]{settings}: {spread_text(best.val)}{tested}")


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

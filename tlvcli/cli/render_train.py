"""What `tlv train` shows at its end: the epochs, the best of them, and the files; or what a dry run would train."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.cli.console import count, plain_table, results, safe, shape, write_columns
from tlvcli.core.report import Report
from tlvcli.pipelines.train_result import PlannedParameter, TrainResult

if TYPE_CHECKING:
    from rich.console import Console


def render(report: Report[TrainResult], verbose: bool) -> None:
    """Draw the report; `verbose`, or a dry run, shows every parameter."""
    console, result = results(), report.result
    if verbose or report.config["dry_run"]:
        _write_parameters(console, result.parameters)
    if result.epochs:
        _write_epochs(console, result)
    trained = count(result.trained_parameters)
    console.print(
        f"[bold]{safe(result.architecture.name)}[/] on {safe(report.config['data'])}: "
        f"{count(result.num_train_images)} training and {count(result.num_val_images)} val images, "
        f"{len(result.class_names)} classes, {safe(result.strategy)}: {trained} parameters trained, "
        f"{report.run.device}, {result.precision}",
        soft_wrap=True,
    )
    if result.val_top1 is not None:
        console.print(f"best: epoch {result.best_epoch}, [bold]val top-1 {result.val_top1:.2%}[/]", soft_wrap=True)
    for output in report.outputs:
        console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)
    if not report.outputs:
        console.print("dry run: nothing written", soft_wrap=True)


def _write_epochs(console: Console, result: TrainResult) -> None:
    numbers = ("epoch", "train loss", "val loss", "val top-1", "images/s", "seconds")
    table = plain_table(*numbers, "", right=numbers)
    for epoch in result.epochs:
        table.add_row(
            str(epoch.epoch),
            f"{epoch.train_loss:.4f}",
            f"{epoch.val_loss:.4f}",
            f"{epoch.val_top1:.2%}",
            f"{epoch.images_per_second:,.0f}",
            f"{epoch.seconds:.1f}",
            "[green]best[/]" if epoch.epoch == result.best_epoch else "",
        )
    console.print(table, "")


def _write_parameters(console: Console, parameters: list[PlannedParameter]) -> None:
    """Write a row for each parameter and phase; columns that hold nothing are left out."""
    header = ("parameter", "shape", "phase", "group", "rate", "decay", "l2-sp", "l2", "masked")
    rows = [
        (
            row.name,
            shape(row.shape),
            str(row.phase),
            row.group,
            _number(row.lr),
            _number(row.weight_decay),
            _number(row.l2_sp),
            _number(row.l2),
            f"{row.masked:.0%}" if row.masked else "-",
        )
        for row in parameters
    ]
    told = [k for k, name in enumerate(header) if _says_something(name, [row[k] for row in rows])]
    table = [tuple(row[k] for k in told) for row in (header, *rows)]
    numbers = ("shape", "phase", "rate", "decay", "l2-sp", "l2", "masked")
    right = [place for place, k in enumerate(told) if header[k] in numbers]
    write_columns(console, table, right=right, cut=0, bold=(0,))


def _says_something(column: str, cells: list[str]) -> bool:
    if column == "phase":
        return len(set(cells)) > 1
    return column not in ("l2-sp", "l2", "masked") or set(cells) != {"-"}


def _number(value: float) -> str:
    return f"{value:.4g}" if value else "-"

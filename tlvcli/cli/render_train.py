"""What `tlv train` shows at its end: the epochs, the best of them, and the files."""

from __future__ import annotations

from tlvcli.cli.console import count, plain_table, results, safe
from tlvcli.core.report import Report
from tlvcli.pipelines.train import TrainResult


def render(report: Report[TrainResult], verbose: bool) -> None:
    """Draw the report."""
    console, result = results(), report.result
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
    console.print(
        f"[bold]{safe(result.architecture.name)}[/] on {safe(report.config['data'])}: "
        f"{count(result.num_train_images)} training and {count(result.num_val_images)} val images, "
        f"{len(result.class_names)} classes, {count(result.trained_parameters)} parameters, "
        f"{report.run.device}, {result.precision}",
        soft_wrap=True,
    )
    console.print(f"best: epoch {result.best_epoch}, [bold]val top-1 {result.val_top1:.2%}[/]", soft_wrap=True)
    for output in report.outputs:
        console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)

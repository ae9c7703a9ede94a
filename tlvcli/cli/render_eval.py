"""What `tlv eval` shows: one line to paste, and how the images were prepared on request."""

from __future__ import annotations

from tlvcli.cli.console import count, results, safe
from tlvcli.core.report import Report
from tlvcli.pipelines.eval import EvalResult


def render(report: Report[EvalResult], verbose: bool) -> None:
    """Draw the report; `verbose` adds the preprocessing."""
    console, result = results(), report.result
    top5 = "" if result.top5 is None else f"  top-5 {result.top5:.2%}"
    console.print(
        f"[bold]top-1 {result.top1:.2%}[/]{top5}  loss {result.loss:.4f}  on {count(result.images)} images "
        f"({safe(report.config['data'])}, {result.split}), {result.images_per_second:,.0f} images/s, "
        f"{report.run.device}, {result.precision}",
        soft_wrap=True,
    )
    if verbose:
        prepared = result.preprocessing
        console.print(
            f"[bold]{safe(result.architecture.name)}[/], {result.num_classes} classes matched by "
            f"{result.classes_matched_by}; images resized to {prepared.resize_size}, cropped to "
            f"{prepared.image_size} px, {prepared.interpolation}, mean {list(prepared.mean)}, std {list(prepared.std)}",
            soft_wrap=True,
        )

"""What `tlv eval` shows: one line to paste, how sure it is, where the network fails; every class on request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.cli.console import count, results, safe, write_columns, write_fact, write_sentence
from tlvcli.core.report import Report
from tlvcli.core.wording import counted, rate
from tlvcli.pipelines.eval import EvalResult
from tlvcli.pipelines.evaluating.result import Interval, Measures

if TYPE_CHECKING:
    from rich.console import Console

_FEW_CLASSES = 3
_FEW_PAIRS = 3


def render(report: Report[EvalResult], verbose: bool) -> None:
    """Draw the report; `verbose` adds a row for each class, and how the images were prepared."""
    console, result = results(), report.result
    top5 = "" if result.top5 is None else f"  top-5 {result.top5:.2%}"
    write_sentence(
        console,
        f"[bold]top-1 {result.top1:.2%}[/]{top5}  loss {result.loss:.4f}  on {counted(result.images, 'image')} "
        f"({safe(report.config['data'])}, {result.split}), {rate(result.images_per_second)} images/s, "
        f"{report.run.device}, {result.precision}",
    )
    _write_summary(console, result)
    if verbose:
        _write_preparation(console, result)
    # The page shows its mistakes itself.
    shows_worst = bool(result.worst and report.config["worst"])
    if verbose or shows_worst or result.against:
        console.print()
    if verbose:
        _write_classes(console, result)
    if shows_worst:
        _write_worst(console, result)
    if result.against:
        _write_rivals(console, report)
    for output in report.outputs:
        console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)


def _write_summary(console: Console, result: EvalResult) -> None:
    write_fact(console, "95 %", f"top-1 {_shares(result.top1_interval)}{_others(result)}")
    macro = result.macro
    write_fact(
        console,
        "classes",
        f"macro F1 {macro.f1:.2%}, precision {macro.precision:.2%}, recall {macro.recall:.2%}{_least(result)}",
    )
    pairs = result.confused[:_FEW_PAIRS]
    if pairs:
        times = (f"{one.true} as {one.predicted} ({counted(one.images, 'time')})" for one in pairs)
        write_fact(console, "confused", ", ".join(times))
    calibration = result.calibration
    write_fact(
        console,
        "calibration",
        f"ECE {calibration.ece:.4f}, MCE {calibration.mce:.4f}, Brier {result.brier:.4f}",
    )


def _others(result: EvalResult) -> str:
    """Return the intervals that the bootstrap gave, of what the screen shows."""
    shown = {"loss": "loss", "macro-f1": "macro F1", "ece": "ECE"}
    found = [(word, result.intervals[name]) for name, word in shown.items() if name in result.intervals]
    return "".join(f", {word} {one.low:.4f} to {one.high:.4f}" for word, one in found)


def _least(result: EvalResult) -> str:
    present = sorted((row.recall, row.name) for row in result.classes if row.recall is not None)
    if len(present) <= _FEW_CLASSES:
        return ""
    return "; least recall: " + ", ".join(f"{name} ({recall:.1%})" for recall, name in present[:_FEW_CLASSES])


def _shares(interval: Interval) -> str:
    return f"{interval.low:.2%} to {interval.high:.2%}"


def _write_preparation(console: Console, result: EvalResult) -> None:
    prepared = result.preprocessing
    write_fact(
        console,
        "network",
        f"{result.architecture.name}, {count(result.num_classes)} classes matched by {result.classes_matched_by}",
    )
    write_fact(
        console,
        "images",
        f"resized to {prepared.resize_size}, cropped to {prepared.image_size} px, {prepared.interpolation}, "
        f"mean {list(prepared.mean)}, std {list(prepared.std)}",
    )


def _write_classes(console: Console, result: EvalResult) -> None:
    rows = [
        (row.name, count(row.images), count(row.predicted), *map(_share, (row.precision, row.recall, row.f1)))
        for row in result.classes
    ]
    head = ("class", "images", "predicted", "precision", "recall", "F1")
    write_columns(console, [head, *rows], right=range(1, len(head)), cut=0, bold=(0,))


def _share(share: float | None) -> str:
    return "-" if share is None else f"{share:.2%}"


def _write_worst(console: Console, result: EvalResult) -> None:
    rows = [(one.path, one.label, one.prediction, f"{one.probability:.2%}") for one in result.worst]
    write_columns(
        console, [("most confident mistakes", "label", "prediction", "sure"), *rows], right=(3,), cut=0, bold=(0,)
    )


def _write_rivals(console: Console, report: Report[EvalResult]) -> None:
    result = report.result
    head = ("checkpoint", "top-1", "loss", "macro F1", "difference", "95 %", "p")
    first = (report.config["checkpoint"], *_figures(result), "", "", "")
    others = [
        (
            rival.checkpoint,
            *_figures(rival.measures),
            f"{rival.difference.top1:+.2%}",
            f"{rival.difference.interval.low:+.2%} to {rival.difference.interval.high:+.2%}",
            _p_value(rival.difference.p_value),
        )
        for rival in result.against
    ]
    rows = [head, first, *others]
    figures = [
        "".join(f"  {cell}" for cell in cells)
        for cells in zip(*map(_aligned, list(zip(*rows, strict=True))[1:]), strict=True)
    ]
    if console.is_terminal and max(len(row[0]) for row in rows) + len(figures[0]) > console.width:
        # Cut in the middle, as run/he/best.safetensors and run/tlv/best.safetensors would be, names may read alike.
        console.print(f"[bold]{figures[0]}[/]", soft_wrap=True)
        for row, line in zip(rows[1:], figures[1:], strict=True):
            console.print(f"{safe(row[0])}\n{line}", soft_wrap=True)
        console.print()
    else:
        write_columns(console, rows, right=range(1, len(head)), cut=0, bold=(0,))


def _aligned(column: tuple[str, ...]) -> list[str]:
    width = max(map(len, column))
    return [cell.rjust(width) for cell in column]


def _figures(measures: Measures) -> tuple[str, str, str]:
    return f"{measures.top1:.2%}", f"{measures.loss:.4f}", f"{measures.macro.f1:.2%}"


def _p_value(p: float) -> str:
    return "<0.0001" if p < 1e-4 else f"{p:.4f}"

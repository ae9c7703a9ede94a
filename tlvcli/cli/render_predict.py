"""What `tlv predict` shows: a row for each image, or a line of JSON, or the files that it wrote."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO

from rich.markup import escape

from tlvcli.cli.console import count, messages, results, safe, write_columns, write_fact, write_sentence
from tlvcli.core.errors import TlvError, printable
from tlvcli.core.report import Report
from tlvcli.core.wording import counted, rate
from tlvcli.pipelines.predicting.config import PredictConfig
from tlvcli.pipelines.predicting.result import Candidate, Prediction, PredictResult

if TYPE_CHECKING:
    from rich.console import Console

_SHOWN_CLASSES = 5
_INDENT = 4


def render(report: Report[PredictResult], verbose: bool) -> None:
    """Draw the report; `verbose` adds every class that was predicted, and how the images were prepared."""
    if report.config["jsonl"]:
        return
    console, result = results(), report.result
    if result.predictions is not None:
        several = report.config["top"] > 1
        head = ("image", "label", "probability", *(("then",) if several else ()))
        rows = [head, *(_row(prediction, several=several) for prediction in result.predictions)]
        if several and console.is_terminal and _width(rows) > console.width:
            _write_under_names(console, result.predictions)
        else:
            write_columns(console, rows, right=(2,), cut=0, bold=(0,))
    elif result.classes:
        shown = result.classes if verbose else result.classes[:_SHOWN_CLASSES]
        more = len(result.classes) - len(shown)
        text = ", ".join(f"{one.label} {count(one.images)}" for one in shown)
        write_fact(console, "classes", text + (f" and {more} more" if more else ""))
    if result.features:
        before = f"before {result.features.before}" if result.features.before else "the outputs"
        size = f"{count(result.features.images)} x {count(result.features.dimensions)}"
        write_fact(console, "features", f"{size}, {before}")
    if verbose:
        prepared = result.preprocessing
        write_fact(
            console,
            "prepared",
            f"resized to {prepared.resize_size}, cropped to {prepared.image_size} px, {prepared.interpolation}, "
            f"mean {list(prepared.mean)}, std {list(prepared.std)}",
        )
    write_sentence(
        console,
        f"{counted(result.images, 'image')} by [bold]{safe(result.architecture.name)}[/], "
        f"{rate(result.images_per_second)} images/s, {report.run.device}, {result.precision}",
    )
    for output in report.outputs:
        console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)


def lines_to(stream: TextIO, *, alone: bool) -> Callable[[Sequence[Prediction]], None]:
    """Return what writes predictions to `stream`, a JSON object to a line, at once: a reader may be waiting.

    A reader that leaves ends the command where the lines are `alone`; the other outputs are still to be written.
    """
    ignored = () if alone else (BrokenPipeError,)

    def write(predictions: Sequence[Prediction]) -> None:
        with suppress(*ignored):
            # In ASCII, which no locale can spoil.
            stream.writelines(json.dumps(_as_given(prediction)) + "\n" for prediction in predictions)
            stream.flush()

    return write


def refuse_two_streams(settings: PredictConfig, *, as_json: bool) -> None:
    """Raise `config-invalid` where lines and the report would both go to stdout."""
    if settings.jsonl and as_json:
        raise TlvError("config-invalid", "--json and --jsonl both print to stdout", "--report FILE keeps the report")


def refuse_unreadable(report: Report[PredictResult], *, quiet: bool) -> int:
    """Say how many images could not be read, if any, and return the exit code."""
    unreadable = len(report.result.unreadable)
    if unreadable and not quiet:
        text = f"{count(unreadable)} of {counted(report.result.images, 'image')}"
        messages().print(f"[bold red]not read:[/] {text}")
    return 1 if unreadable else 0


def _as_given(prediction: Prediction) -> dict[str, Any]:
    """Return the fields of a prediction that say something."""
    return {key: value for key, value in prediction.model_dump().items() if value not in (None, [])}


def _width(rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 2 for column in zip(*rows, strict=True)) - 2


def _write_under_names(console: Console, predictions: Sequence[Prediction]) -> None:
    """Write the classes of each image below its name: beside it, a terminal has no room for both."""
    for prediction in predictions:
        said = ", ".join(" ".join(_words(one)) for one in prediction.top) or "not read"
        console.print(f"[bold]{safe(prediction.path)}[/]", soft_wrap=True)
        for line in textwrap.wrap(printable(said), console.width - _INDENT):
            console.print(" " * _INDENT + escape(line), soft_wrap=True)
    console.print()


def _row(prediction: Prediction, *, several: bool) -> tuple[str, ...]:
    if prediction.error is not None:
        cells: tuple[str, ...] = prediction.path, "not read", ""
        return (*cells, "") if several else cells
    first, *others = map(_words, prediction.top)
    cells = prediction.path, *first
    return (*cells, ", ".join(" ".join(words) for words in others)) if several else cells


def _words(candidate: Candidate) -> tuple[str, str]:
    return candidate.label, f"{candidate.probability:.1%}"

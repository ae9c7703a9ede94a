"""What `tlv train` shows at its end: the epochs, the best of them, and the files; or what a dry run would train."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, Any

from tlvcli.cli.console import count, results, safe, size, write_columns, write_sentence
from tlvcli.cli.render_parameters import write_groups, write_parameters
from tlvcli.core.report import Report
from tlvcli.core.wording import counted, rate
from tlvcli.pipelines.training.job import EpochResult
from tlvcli.pipelines.training.result import TrainResult

if TYPE_CHECKING:
    from rich.console import Console

# More epochs than this scroll what matters off the screen; the last of them are shown then, and the best.
_MOST_EPOCHS = 20
_LAST_EPOCHS = 10


def render(report: Report[TrainResult], verbose: bool) -> None:
    """Draw the report; `verbose` shows every parameter and every epoch."""
    console, result, config = results(), report.result, report.config
    if verbose:
        write_parameters(console, result.parameters)
    elif config["dry_run"]:
        write_groups(console, result.parameters)
    if result.epochs:
        _write_epochs(console, result, verbose=verbose)
    recipe = f"recipe {config['recipe']}, " if config["recipe"] else ""
    write_sentence(
        console,
        f"[bold]{safe(result.architecture.name)}[/] on {safe(config['data'])}: "
        f"{count(result.num_train_images)} training and {counted(result.num_val_images, 'val image')}, "
        f"{counted(len(result.class_names), 'class', 'classes')}",
    )
    write_sentence(
        console,
        f"{recipe}{safe(result.strategy)}: {count(result.trained_parameters)} parameters trained, "
        f"{safe(report.run.device)}, {result.precision}",
    )
    if result.epochs:
        _write_best(console, result)
    for output in report.outputs:
        _say(console, f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}")
    if result.epochs:
        _say(console, f"next: {safe(_next_command(report))}")
    else:
        write_sentence(console, "dry run: nothing written" + ("" if verbose else "; --verbose shows every parameter"))


def _say(console: Console, line: str) -> None:
    console.print(line, soft_wrap=True)


def _write_epochs(console: Console, result: TrainResult, *, verbose: bool) -> None:
    epochs = result.epochs
    shown = epochs if verbose or len(epochs) <= _MOST_EPOCHS else _worth_seeing(result)
    numbers = ("epoch", "train loss", "val loss", "val top-1", "images/s", "waiting", "seconds")
    rows = [
        (
            str(epoch.epoch),
            f"{epoch.train_loss:.4f}",
            f"{epoch.val_loss:.4f}",
            f"{epoch.val_top1:.2%}",
            rate(epoch.images_per_second),
            f"{epoch.waiting_share:.0%}",
            f"{epoch.seconds:.1f}",
            "best" if epoch.epoch == result.best_epoch else "",
        )
        for epoch in shown
    ]
    best = [number for number, row in enumerate(rows, 1) if row[-1]]
    write_columns(console, [(*numbers, ""), *rows], right=range(len(numbers)), cut=len(numbers), bold=(0, *best))
    if len(shown) < len(epochs):
        write_sentence(console, f"{len(shown)} of {len(epochs)} epochs; --verbose shows all\n")


def _worth_seeing(result: TrainResult) -> list[EpochResult]:
    """Return the first epoch, the best one and the last ones."""
    last = len(result.epochs) - _LAST_EPOCHS
    return [
        epoch for k, epoch in enumerate(result.epochs) if k in (0,) or k >= last or epoch.epoch == result.best_epoch
    ]


def _write_best(console: Console, result: TrainResult) -> None:
    waiting, features, memory = result.seconds_waiting, result.seconds_features, result.peak_memory_bytes
    assert waiting is not None and features is not None and memory is not None, "a run that has epochs measured them"
    seconds = sum(epoch.seconds for epoch in result.epochs) + features
    before = f", {_duration(features)} of it for the features" if features >= 0.05 else ""
    stopped = ", stopped early" if result.stopped_early else ""
    averaged = ", of the averaged weights" if result.averaged else ""
    write_sentence(
        console,
        f"best: epoch {result.best_epoch} of {len(result.epochs)}{stopped}, [bold]val top-1 {result.val_top1:.2%}[/], "
        f"val loss {result.val_loss:.4f}{averaged}",
    )
    share = f"{waiting / seconds:.0%} of it waiting for images"
    write_sentence(console, f"time: {_duration(seconds)}{before}, {share}; {size(memory)} at most")


def _duration(seconds: float) -> str:
    """Write a time as people say it: 9.3 s, 4 min 5 s, 2 h 13 min."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _next_command(report: Report[Any]) -> str:
    """Return the command that measures the best checkpoint on images that training never saw."""
    best = next(output.path for output in report.outputs if output.path.endswith("best.safetensors"))
    data = re.sub(r"@train(:\d+)?$", "", report.config["data"])
    return f"tlv eval {shlex.quote(best)} --data {shlex.quote(data)}"

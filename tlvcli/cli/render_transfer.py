"""What `tlv transfer` shows: the rows on request, where the parameters come from, one line to paste."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import groupby

from tlvcli.cli.console import count, results, safe, write_columns, write_sentence
from tlvcli.cli.render_adaptation import render_adaptation
from tlvcli.core.plan import PlanRow
from tlvcli.core.report import Report
from tlvcli.core.wording import counted
from tlvcli.pipelines.transfer import TransferResult

_WORDS = {
    "copy": "copied",
    "kernels": "mapped from source kernels",
    "gather": "mapped from source values",
    "resize": "a grid of another size",
    "collapse": "mapped from collapsed source blocks",
    "dirac": "set to pass on what they read",
    "normal": "drawn from source statistics",
    "constant": "set to a constant",
    "keep": "kept as the target had it",
}


def render(report: Report[TransferResult], verbose: bool) -> None:
    """Draw the report; `verbose`, or a dry run, shows every row."""
    console, result = results(), report.result
    if verbose or report.config["dry_run"]:
        each = verbose or not console.is_terminal
        told = [(row.tensor, *_told(row)) for row in result.rows] if each else list(_by_layer(result.rows))
        write_columns(console, [("tensor", "taken", "how", "from and why"), *told], right=(1,), cut=3, bold=(0,))
    parts = [("tensors", "elements", "taken", "what became of them")]
    sizes = {row.tensor: max(1, _size(row.shape)) for row in result.rows}
    for operation, words in _WORDS.items():
        members = [row for row in result.rows if row.operation == operation]
        if members:
            total = sum(sizes[row.tensor] for row in members)
            taken = sum(sizes[row.tensor] * row.transferred for row in members)
            parts.append((count(len(members)), count(total), f"{taken / total:.0%}", words))
    write_columns(console, parts, right=(0, 1, 2), cut=3, bold=(0,))
    target = result.architecture
    write_sentence(
        console,
        f"[bold]{result.method}[/]: {safe(report.inputs[0].path)} -> {safe(target.name)} "
        f"({counted(target.num_classes, 'class', 'classes')}): [bold]coverage {result.coverage:.1%}[/] of "
        f"{count(result.num_parameters)} parameters, {result.dtype}",
    )
    render_adaptation(console, result.adaptation, verbose=verbose)
    for output in report.outputs:
        console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)
    if report.config["dry_run"]:
        steps = [step for step in ("rescale", "fit", "calibrate") if report.config[step]]
        left = f"; {', '.join(steps)} not carried out" if steps else ""
        write_sentence(console, f"dry run: no checkpoint written{left}")


def _told(row: PlanRow) -> tuple[str, str, str]:
    origin = f"{row.source}: {row.reason}" if row.source else row.reason
    return f"{row.transferred:.0%}", row.operation, origin


def _by_layer(rows: Iterable[PlanRow]) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows for a screen: neighbours in one layer of which the same is told are one, as `bn1.*`."""
    for (layer, told), grouped in groupby(rows, key=lambda row: (row.tensor.rpartition(".")[0], _told(row))):
        first, *others = (row.tensor for row in grouped)
        yield (f"{layer}.* ({len(others) + 1})" if others else first, *told)


def _size(dimensions: tuple[int, ...]) -> int:
    total = 1
    for dimension in dimensions:
        total *= dimension
    return total

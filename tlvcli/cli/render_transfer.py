"""What `tlv transfer` shows: the rows on request, where the parameters come from, one line to paste."""

from __future__ import annotations

from tlvcli.cli.console import count, results, safe, write_columns
from tlvcli.cli.render_adaptation import render_adaptation
from tlvcli.core.report import Report
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
        rows = [("tensor", "taken", "how", "from and why")]
        for row in result.rows:
            origin = f"{row.source}: {row.reason}" if row.source else row.reason
            rows.append((row.tensor, f"{row.transferred:.0%}", row.operation, origin))
        write_columns(console, rows, right=(1,), cut=3, bold=(0,))
    parts = [("tensors", "parameters", "taken", "what became of them")]
    sizes = {row.tensor: max(1, _size(row.shape)) for row in result.rows}
    for operation, words in _WORDS.items():
        members = [row for row in result.rows if row.operation == operation]
        if members:
            total = sum(sizes[row.tensor] for row in members)
            taken = sum(sizes[row.tensor] * row.transferred for row in members)
            parts.append((count(len(members)), count(total), f"{taken / total:.0%}", words))
    write_columns(console, parts, right=(0, 1, 2), cut=3, bold=(0,))
    target = result.architecture
    console.print(
        f"[bold]{result.method}[/]: {safe(report.inputs[0].path)} -> {safe(target.name)} "
        f"({target.num_classes} classes): [bold]coverage {result.coverage:.1%}[/] of "
        f"{count(result.num_parameters)} parameters, {result.dtype}",
        soft_wrap=True,
    )
    render_adaptation(console, result.adaptation, verbose=verbose)
    for output in report.outputs:
        console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)
    if report.config["dry_run"]:
        steps = [step for step in ("rescale", "fit", "calibrate") if report.config[step]]
        left = f"; {', '.join(steps)} not carried out" if steps else ""
        console.print(f"dry run: no checkpoint written{left}", soft_wrap=True)


def _size(dimensions: tuple[int, ...]) -> int:
    total = 1
    for dimension in dimensions:
        total *= dimension
    return total

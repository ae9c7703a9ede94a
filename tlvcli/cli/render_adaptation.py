"""What `tlv transfer` shows of the steps after the mapping: a line for each, every layer on request."""

from __future__ import annotations

from itertools import groupby

from rich.console import Console

from tlvcli.cli.console import count, write_columns, write_sentence
from tlvcli.core.wording import counted
from tlvcli.pipelines.transferring.result import AdaptedRow

# What is counted, in the singular, and what is measured of it.
_WORDS = {
    "weight std": ("weight", "std"),
    "output std": ("layer", "std of the output"),
    "running std": ("batch normalisation", "running std"),
    "R2": ("layer", "R2"),
}


def render_adaptation(console: Console, adaptation: list[AdaptedRow], *, verbose: bool) -> None:
    """Draw what rescale, fit and calibrate did; `verbose` shows every layer."""
    if verbose and adaptation:
        rows = [("step", "layer", "measure", "before", "after", "note")]
        rows += [
            (row.step, row.layer, row.measure, _number(row.before), _number(row.after), _note(row))
            for row in adaptation
        ]
        write_columns(console, rows, right=(3, 4), cut=5, bold=(0,))
    for step, of_step in groupby(adaptation, key=lambda row: row.step):
        members = list(of_step)
        lines = [_line(measure, list(grouped)) for measure, grouped in groupby(members, key=lambda row: row.measure)]
        for line in [line for line in lines if line] or [f"nothing changed, {count(len(members))} layers left"]:
            write_sentence(console, f"[bold]{step}[/]: {line}")


def _line(measure: str, members: list[AdaptedRow]) -> str:
    """Write how many layers changed and between what their measure lies; nothing where none did."""
    changed = [row for row in members if row.after is not None]
    if not changed:
        return ""
    noun, what = _WORDS[measure]
    before, after = _range([row.before for row in changed]), _range([row.after for row in changed])
    left = len(members) - len(changed)
    return f"{counted(len(changed), noun)}, {what} {before} -> {after}" + (f"; {count(left)} left" if left else "")


def _range(values: list[float | None]) -> str:
    """Write the least and the largest number, or one where they look the same."""
    numbers = [value for value in values if value is not None]
    ends = dict.fromkeys(map(_number, (min(numbers), max(numbers)))) if numbers else {}
    return "..".join(ends)


def _note(row: AdaptedRow) -> str:
    return "; ".join(filter(None, (f"fitted to {row.source}" if row.source else "", row.note)))


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"

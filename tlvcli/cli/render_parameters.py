"""How parameters would train, as `tlv train` shows it: folded into what is treated alike, or one by one."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlvcli.cli.console import count, shape, write_columns
from tlvcli.pipelines.training.result import PlannedParameter

if TYPE_CHECKING:
    from rich.console import Console

_NUMBERS = ("shape", "tensors", "parameters", "phase", "rate", "decay", "l2-sp", "l2", "masked")
_SELDOM = ("l2-sp", "l2", "masked")


def write_groups(console: Console, parameters: Sequence[PlannedParameter]) -> None:
    """Write a row for what is treated alike in a phase; `masked` is the share of the row's parameters that is held."""
    alike: dict[tuple[object, ...], list[PlannedParameter]] = {}
    for row in parameters:
        treatment = (row.phase, row.group, row.lr, row.weight_decay, row.l2_sp, row.l2, row.masked > 0)
        alike.setdefault(treatment, []).append(row)
    header = ("group", "tensors", "parameters", "phase", "rate", "decay", "l2-sp", "l2", "masked", "from … to")
    _write(console, header, [_describe(rows) for rows in alike.values()], cut="from … to")


def _describe(rows: Sequence[PlannedParameter]) -> tuple[str, ...]:
    first, last = rows[0], rows[-1]
    sizes = [math.prod(row.shape) for row in rows]
    held = sum(size * row.masked for size, row in zip(sizes, rows, strict=True))
    names = first.name if first is last else f"{first.name} … {last.name}"
    return (first.group, count(len(rows)), count(sum(sizes)), *_treatment(first, held / max(1, sum(sizes))), names)


def write_parameters(console: Console, parameters: Sequence[PlannedParameter]) -> None:
    """Write a row for each parameter and phase."""
    header = ("parameter", "shape", "group", "phase", "rate", "decay", "l2-sp", "l2", "masked")
    rows = [(row.name, shape(row.shape), row.group, *_treatment(row, row.masked)) for row in parameters]
    _write(console, header, rows, cut="parameter")


def _treatment(row: PlannedParameter, masked: float) -> tuple[str, ...]:
    numbers = (row.lr, row.weight_decay, row.l2_sp, row.l2)
    return (str(row.phase), *(f"{number:.4g}" if number else "-" for number in numbers), _percent(masked))


def _percent(share: float) -> str:
    return f"{share:.0%}" if share else "-"


def _write(console: Console, header: Sequence[str], rows: Sequence[Sequence[str]], *, cut: str) -> None:
    """Write the rows without the columns that say nothing."""
    told = [k for k, name in enumerate(header) if _says_something(name, {row[k] for row in rows})]
    names = [header[k] for k in told]
    table = [[row[k] for k in told] for row in (header, *rows)]
    right = [place for place, name in enumerate(names) if name in _NUMBERS]
    write_columns(console, table, right=right, cut=names.index(cut), bold=(0,))


def _says_something(column: str, cells: set[str]) -> bool:
    if column == "phase":
        return len(cells) > 1
    return column not in _SELDOM or cells != {"-"}

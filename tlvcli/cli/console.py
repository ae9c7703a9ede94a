"""Results on stdout, messages on stderr, and the few ways we write numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape

from tlvcli.core.errors import printable

if TYPE_CHECKING:
    from rich.table import Table


def results() -> Console:
    """Return the console on stdout; made anew each time, so that a redirected stdout is honoured."""
    return Console(highlight=False, soft_wrap=False)


def messages() -> Console:
    """Return the console on stderr."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def safe(text: str) -> str:
    """Return foreign text so that it can neither style nor steer the terminal."""
    return escape(printable(text))


def warn(text: str) -> None:
    """Write one warning line to stderr."""
    messages().print(f"[yellow]warning:[/] {safe(text)}")


def plain_table(*columns: str, right: tuple[str, ...] = (), fold: tuple[str, ...] = ()) -> Table:
    """Return a table without borders; `right` columns are numbers, `fold` columns may break over lines."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(
            column,
            justify="right" if column in right else "left",
            no_wrap=column not in fold,
            overflow="fold" if column in fold else "ellipsis",
        )
    return table


def count(number: int) -> str:
    """Write a count with thousands separators: 11,689,512."""
    return f"{number:,}"


def size(num_bytes: int) -> str:
    """Write a number of bytes with a decimal unit: 46.8 MB."""
    value, units = float(num_bytes), ["B", "kB", "MB", "GB", "TB"]
    while value >= 1000 and len(units) > 1:
        value, units = value / 1000, units[1:]
    return f"{value:.0f} {units[0]}" if units[0] == "B" else f"{value:.1f} {units[0]}"


def shape(dimensions: tuple[int, ...]) -> str:
    """Write a shape: 64x3x7x7, or scalar."""
    return "x".join(map(str, dimensions)) or "scalar"

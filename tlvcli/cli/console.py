"""Results on stdout, messages on stderr, and the few ways we write numbers."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from rich.console import Console
from rich.markup import escape

from tlvcli.core.errors import printable

if TYPE_CHECKING:
    from rich.table import Table

FACT_INDENT = 13


def results() -> Console:
    """Return the console on stdout; made anew each time, so that a redirected stdout is honoured.

    Without emoji: to rich, `digits@train:100:` holds the name of one.
    """
    return Console(highlight=False, emoji=False, soft_wrap=False)


def messages() -> Console:
    """Return the console on stderr; a terminal gets no word cut in two, a file each message on one line."""
    console = Console(file=cast("IO[str]", _Unheard(sys.stderr)), highlight=False, emoji=False)
    console.soft_wrap = not console.is_terminal
    return console


class _Unheard:
    """A stream for messages: where nobody reads them, or the disk that they go to is full, the work goes on."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def safe(text: str) -> str:
    """Return foreign text so that it can neither style nor steer the terminal."""
    return escape(printable(text))


def warn(text: str) -> None:
    """Write one warning line to stderr."""
    messages().print(f"[yellow]warning:[/] {safe(text)}")


def refuse(text: str) -> None:
    """Write to stderr which gate was not met."""
    messages().print(f"[bold red]gate not met:[/] {safe(text)}")


def plain_table(*columns: str, right: Collection[str] = ()) -> Table:
    """Return a table without borders; `right` columns are numbers."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left", no_wrap=True)
    return table


def write_sentence(console: Console, sentence: str, style: str = "") -> None:
    """Write markup that is read: a terminal gets no word cut in two, nor a path, which may be copied."""
    from rich.text import Text

    text = Text.from_markup(sentence, style=style, emoji=False)
    # Not rich's own wrapping, which breaks what is longer than a line: only the terminal knows that it is one word.
    for line in text.divide(_line_starts(text.plain, console.width)) if console.is_terminal else [text]:
        line.rstrip()
        console.print(line, soft_wrap=True)


def _line_starts(text: str, width: int) -> list[int]:
    """Return where the lines after the first begin, each with a word."""
    start, starts = 0, []
    for word in re.finditer(r"\S+", text):
        if word.end() - start > width and word.start() > start:
            start = word.start()
            starts.append(start)
    return starts


def write_fact(console: Console, label: str, text: str) -> None:
    """Write a label and what it says; on a terminal further lines start below the text, elsewhere there are none."""
    first, *more = wrapped(console, text, FACT_INDENT)
    console.print(f"[bold]{label:<{FACT_INDENT - 1}}[/] {escape(first)}", soft_wrap=True)
    for line in more:
        console.print(" " * FACT_INDENT + escape(line), soft_wrap=True)


def wrapped(console: Console, text: str, indent: int) -> list[str]:
    """Return the lines of a text that a terminal has room for beside an indent; one, where it is none."""
    width = max(40, console.width - indent) if console.is_terminal else 10**6
    return textwrap.wrap(printable(text), width, break_on_hyphens=False) or [""]


def write_columns(
    console: Console, rows: Sequence[Sequence[str]], *, right: Collection[int], cut: int, bold: Collection[int]
) -> None:
    """Write aligned rows, `right` columns to the right; on a terminal column `cut` gives way to fit the width.

    Not a rich table: a large model has thousands of rows, and rich takes a millisecond for each. `bold` rows stand
    out on a terminal; elsewhere nothing is cut and nothing styled.
    """
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    if console.is_terminal:
        others = sum(widths) - widths[cut] + 2 * (len(widths) - 1)
        widths[cut] = max(12, min(widths[cut], console.width - others))
    styled = console.is_terminal and not console.no_color
    lines = []
    for number, row in enumerate(cells):
        row[cut] = shorten(row[cut], widths[cut], keep_end=cut == 0)
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        line = "  ".join(padded).rstrip()
        lines.append(f"\x1b[1m{line}\x1b[0m" if styled and number in bold else line)
    console.file.write("\n".join(lines) + "\n\n")


def shorten(text: str, width: int, *, keep_end: bool) -> str:
    """Cut what is too long: the end of a sentence, but the middle of a name, which its end tells apart."""
    if len(text) <= width:
        return text
    end = (width - 1) // 2 if keep_end else 0
    return f"{text[: width - 1 - end].rstrip()}…{text[len(text) - end :]}"


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


def bar(share: float, width: int) -> str:
    """Draw a share of 0 to 1 as a bar of at most `width` cells, in eighths of a cell."""
    eighths = round(share * width * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def markdown_table(rows: Sequence[Sequence[str]], *, right: Collection[int]) -> str:
    """Return a table for a pull request; the first row is the head, `right` columns are numbers."""
    cells = [[printable(cell).replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---:" if column in right else "---" for column in range(len(cells[0]))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (cells[0], rule, *cells[1:]))

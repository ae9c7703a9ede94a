"""The grid while it runs: a live table on a terminal, a line for each finished cell elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tlvcli.cli.console import bar, messages, plain_table, safe, shorten

if TYPE_CHECKING:
    from rich.console import Console, Group
    from rich.live import Live

    from tlvcli.pipelines.comparing.news import News, Standing, Watcher

_WIDE = 100
# Of the columns but name and bar, with their gaps: `10 of 100`, `best val`, `59 min 59 s`.
_OTHERS_WIDTH = 9 + 8 + 11 + 8


class _Shown:
    """Draws where the grid stands in place of the last time, below the lines that stay."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console, self._live = console, live

    def show(self, standing: Standing) -> None:
        if self._live is not None:
            self._live.update(_draw(standing, self._console.width))

    def message(self, text: str) -> None:
        self._console.print(safe(text))


@contextmanager
def shown_grid(*, quiet: bool) -> Iterator[Watcher]:
    """Give what is told of a grid that runs; `quiet` shows nothing."""
    from tlvcli.pipelines.comparing.news import Unwatched

    console = messages()
    if quiet:
        yield Unwatched()
    elif not console.is_terminal:
        yield _Shown(console, None)
    else:
        from rich.live import Live

        # Sources are read and data listed before the first cell begins.
        with Live("looking at sources and data", console=console, transient=True, refresh_per_second=4) as live:
            yield _Shown(console, live)


def _draw(standing: Standing, width: int) -> Group:
    from rich.console import Group
    from rich.text import Text

    bar_width = 20 if width >= _WIDE else 10
    name_width = max(20, width - bar_width - _OTHERS_WIDTH)
    table = plain_table("running", "", "epoch", "best val", "time", right=("epoch", "best val", "time"))
    for cell in standing.running:
        name = shorten(cell.name, name_width, keep_end=True)
        table.add_row(safe(name), *_row(cell.news, bar_width), duration(cell.seconds))
    failed = f", [red]{standing.failed} failed[/]" if standing.failed else ""
    left = "" if not standing.seconds_left else f", about {duration(standing.seconds_left)} left"
    running = f", {len(standing.running)} running" if standing.running else ""
    said = f"{standing.done} of {standing.total} cells trained{running}{failed}{left}"
    return Group(table, Text.from_markup(said))


def _row(news: News, bar_width: int) -> tuple[str, str, str]:
    at = f"{news.epochs_done + 1} of {news.num_epochs}" if news.stage == "train" and news.num_epochs else news.stage
    best = "" if news.best_top1 is None else f"{news.best_top1:.2%}"
    return bar(news.share, bar_width).ljust(bar_width), at, best


def duration(seconds: float) -> str:
    """Write a time in its two largest units: 42 s, 4 min 5 s, 2 h 13 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

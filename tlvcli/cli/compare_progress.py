"""The grid while it runs: a live table on a terminal, a line for each finished cell elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tlvcli.cli.console import bar, messages, plain_table, safe

if TYPE_CHECKING:
    from rich.console import Console
    from rich.live import Live
    from rich.table import Table

    from tlvcli.pipelines.comparing.news import RunningCell, Standing, Watcher

_BAR_WIDTH = 20


class _Shown:
    """Draws where the grid stands in place of the last time, below the lines that stay."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self._console, self._live = console, live

    def show(self, standing: Standing) -> None:
        if self._live is not None:
            self._live.update(_draw(standing))

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

        with Live(console=console, transient=True, refresh_per_second=4) as live:
            yield _Shown(console, live)


def _draw(standing: Standing) -> Table:
    table = plain_table("running", "", "epoch", "best val", "time", right=("epoch", "best val", "time"))
    for cell in standing.running:
        table.add_row(*_row(cell))
    failed = f", [red]{standing.failed} failed[/]" if standing.failed else ""
    left = "" if not standing.seconds_left else f", {duration(standing.seconds_left)} left"
    table.caption = f"{standing.done} of {standing.total} cells trained{failed}{left}"
    table.caption_justify = "left"
    return table


def _row(cell: RunningCell) -> tuple[str, ...]:
    news = cell.news
    at = str(news.epochs_done + 1) if news.stage == "train" else news.stage
    best = "" if news.best_top1 is None else f"{news.best_top1:.2%}"
    return safe(cell.name), bar(news.share, _BAR_WIDTH).ljust(_BAR_WIDTH), at, best, duration(cell.seconds)


def duration(seconds: float) -> str:
    """Write a time in its two largest units: 42 s, 4 min 5 s, 2 h 13 min."""
    minutes, rest = divmod(round(seconds), 60)
    if not minutes:
        return f"{rest} s"
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"

"""Progress on stderr: a bar on a terminal, a line for each message elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from tlvcli.cli.console import messages, safe

if TYPE_CHECKING:
    from tlvcli.pipelines.progress import Progress as ProgressProtocol

_WIDE = 100
_WIDE_BAR, _BAR = 40, 20
_NUMBERS_WIDTH = 32  # count, rate and time, with their gaps: 10000/10000 1.25e+03/s 1:02:33


class _Rate(ProgressColumn):
    """Steps in a second, as those of the count beside it; nothing until two are done."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.speed:.3g}/s" if task.speed else "", style="progress.data.speed")


class _Shown:
    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._task: TaskID | None = None

    def start(self, total: int, description: str) -> None:
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(safe(description), total=total)

    def advance(self) -> None:
        if self._task is not None:
            self._bar.advance(self._task)

    def message(self, text: str) -> None:
        self._bar.console.print(safe(text))


def progress_columns(width: int) -> tuple[ProgressColumn, ...]:
    """Return what stands beside a task on a terminal of `width` columns: of a long name, its beginning."""
    bar_width = _WIDE_BAR if width >= _WIDE else _BAR
    name = Column(no_wrap=True, overflow="ellipsis", max_width=max(12, width - bar_width - _NUMBERS_WIDTH))
    return (
        TextColumn("{task.description}", table_column=name),
        BarColumn(bar_width),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(compact=True),
    )


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[ProgressProtocol]:
    """Give the progress of a long command; `quiet` shows nothing, nor do several processes but for the first one."""
    from tlvcli.core.processes import find_processes
    from tlvcli.pipelines.progress import Silence

    if quiet or not find_processes().is_first:
        yield Silence()
        return
    console = messages()
    with Progress(
        *progress_columns(console.width), console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        yield _Shown(bar)

"""Progress on stderr: a bar on a terminal, a line for each message elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from tlvcli.cli.console import messages, safe

if TYPE_CHECKING:
    from tlvcli.pipelines.progress import Progress as ProgressProtocol


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


@contextmanager
def shown_progress(*, quiet: bool) -> Iterator[ProgressProtocol]:
    """Give the progress of a long command; `quiet` shows nothing, nor do several processes but for the first one."""
    from tlvcli.core.processes import find_processes
    from tlvcli.pipelines.progress import Silence

    if quiet or not find_processes().is_first:
        yield Silence()
        return
    console = messages()
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        yield _Shown(bar)

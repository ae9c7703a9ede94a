"""What a cell at work tells the process that started it, and what that one tells its caller."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class News:
    """Where a cell stands: in which command, of the training how many epochs are done, and the best val top-1.

    `share` is that of the whole training that is done, `num_epochs` is how long it is.
    """

    stage: str
    epochs_done: int = 0
    share: float = 0.0
    best_top1: float | None = None
    num_epochs: int | None = None


@dataclass(frozen=True)
class Failure:
    """Why a cell failed: the id and the message of its error, and what to do."""

    error_id: str
    message: str
    hint: str


@dataclass(frozen=True)
class RunningCell:
    """One cell at work."""

    name: str
    news: News
    seconds: float


@dataclass(frozen=True)
class Standing:
    """Where the grid stands: cells in all, done and failed, those at work, and the seconds it will still take."""

    total: int
    done: int
    failed: int
    running: Sequence[RunningCell]
    seconds_left: float | None


class Watcher(Protocol):
    """Implemented by the command line as a live table, by a caller of the library as it likes."""

    def show(self, standing: Standing) -> None:
        """Take note of where the grid stands; called several times a second."""
        ...

    def message(self, text: str) -> None:
        """Something worth a line of its own has happened."""
        ...


class Unwatched:
    """Tells nothing."""

    def show(self, standing: Standing) -> None:
        """Ignore where the grid stands."""

    def message(self, text: str) -> None:
        """Ignore the line."""

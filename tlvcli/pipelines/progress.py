"""How a long pipeline tells its caller where it stands."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Implemented by the command line as a bar on a terminal, by a caller of the library as it likes."""

    def start(self, total: int, description: str) -> None:
        """Begin a count of `total` steps, in place of the one before."""
        ...

    def advance(self) -> None:
        """One step is done."""
        ...

    def message(self, text: str) -> None:
        """Something worth a line of its own has happened."""
        ...


class Silence:
    """Tells nothing."""

    def start(self, total: int, description: str) -> None:
        """Ignore the count."""

    def advance(self) -> None:
        """Ignore the step."""

    def message(self, text: str) -> None:
        """Ignore the line."""

"""One hostile file: how it is made, and how it is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """A name, what writes the file into a folder and returns its path, and the ids that may refuse it.

    `needs_torch` says that only torch can tell what is wrong with it.
    """

    name: str
    write: Callable[[Path], Path]
    error_ids: tuple[str, ...]
    needs_torch: bool = False

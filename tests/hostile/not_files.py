"""Paths that are no files, or lead to none."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tests.hostile.case import Case

_NOT_A_FILE = ("checkpoint-not-a-file",)


def _pipe(folder: Path) -> Path:
    os.mkfifo(folder / "model.pt")
    return folder / "model.pt"


def _link(target: str, folder: Path) -> Path:
    (folder / "model.pt").symlink_to(target)
    return folder / "model.pt"


def _terabyte(folder: Path) -> Path:
    with (folder / "model.pt").open("wb") as stream:
        stream.truncate(1 << 40)
    return folder / "model.pt"


def cases() -> Iterator[Case]:
    """Pipes, devices, links in circles, and a terabyte of nothing."""
    yield Case("a pipe that nobody writes to", _pipe, _NOT_A_FILE)
    yield Case("/dev/zero", lambda folder: Path("/dev/zero"), _NOT_A_FILE)
    yield Case("a link to /dev/zero", partial(_link, "/dev/zero"), _NOT_A_FILE)
    yield Case("a link to a terminal", partial(_link, "/dev/tty"), (*_NOT_A_FILE, "checkpoint-missing"))
    yield Case("a link to itself", partial(_link, "model.pt"), ("checkpoint-unreadable",))
    yield Case("a link to nothing", partial(_link, "absent.pt"), ("checkpoint-missing",))
    yield Case("a link to its folder", partial(_link, "."), ("checkpoint-is-directory",))
    yield Case("a file of /proc", lambda folder: Path("/proc/self/mem"), ("checkpoint-empty", "checkpoint-unreadable"))
    yield Case("a terabyte of zeros", _terabyte, ("checkpoint-not-recognised",))

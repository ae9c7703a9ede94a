"""Findings about folders: where tlv and torch keep what they fetch or compute, and whether there is room."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tlvcli.core.wording import counted
from tlvcli.pipelines.health.result import Finding
from tlvcli.pipelines.training.cache_folder import cache_folder

_LITTLE_SPACE = 10**9


def find_folders() -> Iterator[Finding]:
    """Yield the caches, the folder for temporary files and the current one: whether they take files, and how many."""
    yield _judge("features", lambda: cache_folder(""), "TLV_CACHE")
    yield _judge("hub weights", _hub_folder, "TORCH_HOME")
    yield _judge("temporary", lambda: Path(tempfile.gettempdir()), "TMPDIR")
    yield _judge("current", Path.cwd, None)


def _judge(name: str, find: Callable[[], Path], variable: str | None) -> Finding:
    """Return a finding about the folder that `find` gives; `variable` is how the user moves it."""
    mends = f"{variable}=FOLDER moves it" if variable else "go to another folder, or name outputs elsewhere"
    try:
        folder = find()
        place = _existing(folder)
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"\0")
            file.flush()
        free = shutil.disk_usage(place).free
        held = _held(folder) if name in ("features", "hub weights") else ""
    # No home at all, no folder to put it in, a system that is read-only, a full disk.
    except (OSError, RuntimeError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        place_name = f"{error.filename}: " if isinstance(error, OSError) and error.filename else ""
        found = f"takes no files: {place_name}{reason}"
        return Finding(area="folders", name=name, status="warning", found=found, hint=mends)
    found = f"{folder}{held}, {free / 1e9:,.1f} GB free"
    if free < _LITTLE_SPACE:
        return Finding(area="folders", name=name, status="warning", found=found, hint=f"make room; {mends}")
    return Finding(area="folders", name=name, status="ok", found=found)


def _hub_folder() -> Path:
    """Return where torch.hub keeps weights, without asking torch."""
    own, shared = os.environ.get("TORCH_HOME"), os.environ.get("XDG_CACHE_HOME")
    if own:
        return Path(own).expanduser() / "hub"
    return (Path(shared).expanduser() if shared else Path.home() / ".cache") / "torch" / "hub"


def _existing(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that is there."""
    return next(place for place in (folder, *folder.absolute().parents) if place.exists())


def _held(folder: Path) -> str:
    files = folder.rglob("*") if folder.is_dir() else ()
    sizes = [file.stat().st_size for file in files if file.is_file()]
    return f", {sum(sizes) / 1e9:,.2f} GB in {counted(len(sizes), 'file')}" if sizes else ", empty"

"""The folder where tlv keeps what it can compute again, and how much of it."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

# What all cached features of a user take together, in bytes; the oldest go first.
MOST_BYTES = 20_000_000_000


def cache_folder(part: str) -> Path:
    """Return the user's folder for `part`: below TLV_CACHE, else XDG_CACHE_HOME/tlv, else ~/.cache/tlv.

    For a user without a home, as in many containers, it is one that takes no files.
    """
    own, shared = os.environ.get("TLV_CACHE"), os.environ.get("XDG_CACHE_HOME")
    root = Path(own) if own else (Path(shared) if shared else _home() / ".cache") / "tlv"
    return root / part


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        return Path(os.devnull)


def make_room(folder: Path, num_bytes: int) -> None:
    """Delete the files that were used least recently, until `num_bytes` more stay within the bound."""
    files = sorted(folder.glob("*.safetensors"), key=_last_used)
    held = sum(_size(file) for file in files)
    for file in files:
        if held + num_bytes <= MOST_BYTES:
            break
        held -= _size(file)
        with suppress(OSError):
            file.unlink()


def mark_used(path: Path) -> None:
    """Note that a file was used now; a folder that may not be written to keeps what it has."""
    with suppress(OSError):
        os.utime(path)


def _last_used(path: Path) -> float:
    # Another process may have deleted it since it was listed.
    return path.stat().st_mtime if path.exists() else 0.0


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0

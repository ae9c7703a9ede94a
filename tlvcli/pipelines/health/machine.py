"""Findings about the machine: memory, and the memory that processes share."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from tlvcli.pipelines.health.result import Finding

_SHARED = Path("/dev/shm")
_LITTLE_MEMORY = 2 * 2**30
_LITTLE_SHARED = 256 * 2**20


def find_machine() -> Iterator[Finding]:
    """Yield what a run may take of memory, as far as the system tells."""
    free, total = _memory()
    if free is not None and total is not None:
        found = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
        short = free < _LITTLE_MEMORY
        yield Finding(
            area="machine",
            name="memory",
            status="warning" if short else "ok",
            found=found,
            hint="close something, or use a small --batch-size and --workers 0" if short else None,
        )
    if _SHARED.is_dir():
        size = shutil.disk_usage(_SHARED).total
        short = size < _LITTLE_SHARED
        yield Finding(
            area="machine",
            name="shared memory",
            status="warning" if short else "ok",
            found=f"{size / 2**20:,.0f} MiB in {_SHARED}",
            hint="workers pass images through it: docker run --shm-size 2g, or --workers 0" if short else None,
        )


def _memory() -> tuple[int | None, int | None]:
    """Return bytes that are free and there in all; a container's bound is what there is."""
    free = total = None
    with suppress(ValueError, OSError):
        page = os.sysconf("SC_PAGE_SIZE")
        total = page * os.sysconf("SC_PHYS_PAGES")
        free = _available() or page * os.sysconf("SC_AVPHYS_PAGES")
    bound, used = _cgroup("memory.max"), _cgroup("memory.current")
    if bound is not None and used is not None and total is not None and free is not None:
        return min(free, max(0, bound - used)), min(total, bound)
    return free, total


def _available() -> int | None:
    """Return what Linux could give to a new program, in bytes: more than what nothing is in."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _cgroup(name: str) -> int | None:
    with suppress(OSError, ValueError):
        return int(Path("/sys/fs/cgroup", name).read_text(encoding="ascii"))
    return None

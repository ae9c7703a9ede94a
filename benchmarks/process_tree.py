"""Run a Python process and watch it with all its children: wall time, peak memory, what it printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SECONDS_BETWEEN_LOOKS = 0.2


@dataclass(frozen=True)
class Watched:
    """Wall time in seconds, largest memory of the process and its children together in MB, and standard output."""

    seconds: float
    peak_mb: float
    stdout: str


def watch(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Watched:
    """Run `python ARGUMENTS`, with `environment` added to ours.

    Memory is the proportional set size, so that pages which forked workers share with their parent count once.

    Raises:
        RuntimeError: the process failed; with what it wrote to standard error.
    """
    with tempfile.TemporaryFile("w+") as stdout, tempfile.TemporaryFile("w+") as stderr:
        started = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, *arguments], stdout=stdout, stderr=stderr, env={**os.environ, **(environment or {})}
        )
        peak = 0
        while process.poll() is None:
            peak = max(peak, _memory_bytes(process.pid))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        seconds = time.perf_counter() - started
        for stream in (stdout, stderr):
            stream.seek(0)
        if process.returncode:
            raise RuntimeError(f"{' '.join(arguments)} failed with {process.returncode}:\n{stderr.read()}")
        return Watched(seconds, peak / 1e6, stdout.read())


def _memory_bytes(root: int) -> int:
    children = defaultdict(list)
    for stat in Path("/proc").glob("[0-9]*/stat"):
        # The name in parentheses may hold spaces; the parent's number is the second field behind it.
        if found := re.match(r"(\d+) \(.*\) \S (\d+)", _read(stat)):
            children[int(found[2])].append(int(found[1]))
    total, waiting = 0, [root]
    while waiting:
        number = waiting.pop()
        waiting += children[number]
        if found := re.search(r"^Pss:\s+(\d+) kB", _read(Path(f"/proc/{number}/smaps_rollup")), re.MULTILINE):
            total += int(found[1]) * 1024
    return total


def _read(path: Path) -> str:
    """Return the text, or nothing of a process that has just ended."""
    try:
        return path.read_text()
    except OSError:
        return ""

"""Timing functions in turns, and the time and peak memory of whole processes."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any


@dataclass(frozen=True)
class Process:
    """Median wall time in seconds and largest resident memory in MB of a command."""

    seconds: float
    peak_mb: float


def medians(functions: Mapping[str, Callable[[], object]], *, rounds: int = 5) -> dict[str, float]:
    """Return the median seconds of each function; every round runs each once, after one round to warm up."""
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for number in range(rounds + 1):
        for name, function in functions.items():
            started = time.perf_counter()
            function()
            if number:
                seconds[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in seconds.items()}


def processes(commands: Mapping[str, Sequence[str]], *, rounds: int = 7) -> dict[str, Process]:
    """Return time and peak memory of each Python command line, run in turns after one round to warm up."""
    seconds = medians({name: partial(_run, arguments) for name, arguments in commands.items()}, rounds=rounds)
    return {name: Process(seconds[name], _peak_mb(arguments)) for name, arguments in commands.items()}


def _run(arguments: Sequence[str]) -> None:
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)


def _peak_mb(arguments: Sequence[str]) -> float:
    """Run once more with its memory watched from within: what a fork inherits from us does not count."""
    program = (
        "import atexit, re, runpy, sys\n"
        "status = lambda: open('/proc/self/status').read()\n"
        "atexit.register(lambda: sys.stderr.write('peak ' + re.search(r'VmHWM:\\s*(\\d+)', status())[1] + '\\n'))\n"
        "sys.argv = sys.argv[1:]\n"
        "if sys.argv[0] == '-c': exec(sys.argv[1])\n"
        "else: sys.argv = sys.argv[1:]; runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)\n"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, check=True)
    return int(done.stderr.rpartition("peak ")[2]) * 1024 / 1e6


def show(title: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of the same keys as a Markdown table."""
    keys = list(rows[0])
    print(f"\n{title}\n\n| {' | '.join(keys)} |\n|{'---|' * len(keys)}")
    for row in rows:
        print(f"| {' | '.join(map(_cell, row.values()))} |")


def _cell(value: Any) -> str:
    """Write a measured number in three digits, and a dash where nothing was measured."""
    if value is None:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)

"""Commands in children of a process that has imported everything: started at once, killed at any moment."""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import torch

from tlvcli.cli.main import run

_DEADLINE_SECONDS = 300.0


@dataclass(frozen=True)
class Child:
    """A command at work, and what it says."""

    pid: int
    log: Path

    def wait(self) -> int:
        """Return its exit code, negative where a signal ended it."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status)

    def has_ended(self) -> int | None:
        """Return its exit code, or None while it is at work."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if pid else None


def start(arguments: Sequence[str], log: Path, *, before: Callable[[], object] = lambda: None) -> Child:
    """Run a command line in a child, which calls `before` first; what it says goes to `log`."""
    pid = os.fork()
    if pid:
        return Child(pid, log)
    code = 99
    try:
        faulthandler.disable()  # of pytest: what the system ends says nothing
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        _forget_fork_server()
        torch.set_num_threads(1)  # a pool of threads does not outlive the fork, and nobody would answer
        before()
        sys.stdout, sys.stderr = _stream(1), _stream(2)  # as Python does when it starts
        code = run(arguments)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def _forget_fork_server() -> None:
    """A comparison in an earlier test may have left one, which is our parent's child and not ours to wait for."""
    forkserver._forkserver.__init__()  # type: ignore[misc]


def _stream(number: int) -> Any:
    try:
        os.fstat(number)
    except OSError:  # closed
        return None
    return open(number, "w", closefd=False)


def finish(arguments: Sequence[str], log: Path, *, before: Callable[[], object] = lambda: None) -> int:
    """Run a command line in a child and return its exit code."""
    return start(arguments, log, before=before).wait()


def leave_little_memory() -> None:
    """Let this process have 300 MB more than it has."""
    gc.collect()  # or a network that an earlier test left in a cycle goes later, and its memory is there again
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    take = ctypes.CDLL(None).malloc
    take.argtypes, take.restype = [ctypes.c_size_t], ctypes.c_void_p
    # What the tests before gave back to malloc would do for the image: it is taken first.
    resource.setrlimit(resource.RLIMIT_AS, (used, resource.RLIM_INFINITY))
    while take(8_000_000):
        pass
    resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)


def kill_sometime(child: Child, folder: Path, *, within: float, lot: random.Random) -> int | None:
    """Send SIGKILL at a moment drawn by lot and return None, or the exit code of a child that was faster.

    Every other time the moment is just after a file is begun in `folder` or below it, where a kill hurts most.
    """
    deadline = time.monotonic() + _DEADLINE_SECONDS
    moment = time.monotonic() + lot.uniform(0, within)
    at_work = lot.random() < 0.5
    while time.monotonic() < deadline:
        if (code := child.has_ended()) is not None:
            return code
        if at_work and any(folder.rglob(".*.tmp")):
            time.sleep(lot.uniform(0, 0.004))
            break
        if not at_work and time.monotonic() > moment:
            break
        time.sleep(0.0002)
    os.kill(child.pid, signal.SIGKILL)
    code = child.wait()
    return None if code == -signal.SIGKILL else code

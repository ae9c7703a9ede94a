"""How the process ends: whatever a user's file left running or unwritten is waited for, and written."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

_PROGRAM = """
import atexit
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

from tlvcli.__main__ import _leave


def late(word):
    time.sleep(0.1)
    print(word)


atexit.register(print, "handler")
Thread(target=late, args=["thread"]).start()
ThreadPoolExecutor(1).submit(late, "pool")
sys.stdout.write("results\\n")
sys.stderr.write("half a line")
_leave(1)
"""


def _end(**streams: int) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run([sys.executable, "-c", _PROGRAM], text=True, check=False, env=environment, **streams)


def test_nothing_that_runs_or_waits_is_lost() -> None:
    done = _end(stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    first, *both, last = done.stdout.splitlines()
    assert (done.returncode, first, sorted(both), last) == (1, "results", ["pool", "thread"], "handler")
    assert done.stderr == "half a line"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_disk_that_is_full_changes_no_exit_code(stream: str) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        other = "stderr" if stream == "stdout" else "stdout"
        done = _end(**{stream: full, other: subprocess.PIPE})
    finally:
        os.close(full)
    assert done.returncode == 1
    assert "Traceback" not in (done.stderr or "")

"""Cells in processes of their own, several at once: each is forked from one that has imported everything already."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import ModuleType
from typing import Any

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.comparing.cell_run import Task, run_task
from tlvcli.pipelines.comparing.machine import Machine
from tlvcli.pipelines.comparing.news import Failure, News, RunningCell
from tlvcli.pipelines.training.interruption import StopWish

_WARM = "tlvcli.pipelines.comparing.warm"
_SECONDS_BETWEEN_LOOKS = 0.25
_SECONDS_TO_STOP = 30.0


@dataclass
class _Job:
    """A task in its process."""

    task: Task
    process: BaseProcess
    news: Connection
    started: float
    last: News
    failure: Failure | None = None


def warm_up(*modules: str) -> None:
    """Start the process that all cells are forked from; it imports torch meanwhile, and `modules` beside it."""
    from multiprocessing import forkserver

    multiprocessing.get_context("forkserver").set_forkserver_preload([_WARM, *modules])
    forkserver.ensure_running()


def run_tasks(
    next_task: Callable[[], Task | None],
    machine: Machine,
    *,
    finished: Callable[[Task, Failure | None, float], None],
    look: Callable[[list[RunningCell]], None],
    stopping: Callable[[int], None],
    stop: StopWish,
) -> None:
    """Run what `next_task` gives, so many at once as the machine has jobs, until it gives nothing and all are done.

    `finished` is told of every task with its failure, if any, and seconds; `look` of those at work, a few times a
    second. Once a signal has come, those at work are stopped, of which `stopping` is told the number, and nothing more
    is begun.
    """
    running: dict[int, _Job] = {}
    try:
        while stop.number is None:
            for slot in range(machine.jobs):
                if slot not in running and (task := next_task()) is not None:
                    running[slot] = _start(task, machine, slot)
            if not running:
                return
            wait([job.news for job in running.values()], timeout=_SECONDS_BETWEEN_LOOKS)
            for slot, job in list(running.items()):
                if _has_ended(job):
                    del running[slot]
                    finished(job.task, job.failure, time.monotonic() - job.started)
            look([RunningCell(job.task.name, job.last, time.monotonic() - job.started) for job in running.values()])
        stopping(len(running))
    finally:
        _stop(running.values())


def _start(task: Task, machine: Machine, slot: int) -> _Job:
    warm_up()  # where it was not done before
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe(duplex=False)
    environment = dict(os.environ) | machine.environment(slot)
    # Not a daemon: it has processes of its own, which read images.
    process = context.Process(
        target=_work, args=(task, theirs, Path.cwd(), machine.threads, environment), name=task.name, daemon=False
    )
    with without_script():
        process.start()
    theirs.close()
    return _Job(task, process, ours, time.monotonic(), News("waiting"))


@contextmanager
def without_script() -> Iterator[None]:
    """Hide the script that runs: a new process imports it, and one without a guard would begin once more."""
    script = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = script


def _has_ended(job: _Job) -> bool:
    """Take in what the job has told, and return whether it is over."""
    is_over = not job.process.is_alive()  # asked first: what it told before it ended is still to be read
    try:
        while job.news.poll():
            told = job.news.recv()
            if isinstance(told, Failure):
                job.failure = told
            else:
                job.last = told
    except EOFError:
        is_over = True
    if is_over:
        job.process.join()
        job.news.close()
        if job.process.exitcode != 0 and job.failure is None:
            job.failure = _died(job)
    return is_over


def _died(job: _Job) -> Failure:
    code = job.process.exitcode or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with {code}"
    return Failure(
        "cell-died",
        f"the process of {job.task.name} {how}",
        f"{job.task.folder.log_path} has what it said; where memory was short, take fewer --jobs",
    )


def _stop(jobs: Any) -> None:
    """End what is at work: a training stops between two steps, as after tlv train."""
    jobs = list(jobs)
    for job in jobs:
        job.process.terminate()
    deadline = time.monotonic() + _SECONDS_TO_STOP
    for job in jobs:
        job.news.close()
        job.process.join(max(0.0, deadline - time.monotonic()))
        if job.process.is_alive():
            job.process.kill()
            job.process.join()


def _work(task: Task, news: Connection, folder: Path, threads: int, environment: dict[str, str]) -> None:
    """Run one task; this is all that its process does."""
    # A terminal sends Ctrl-C to its whole group; ours is told by the process that started us, once.
    os.setpgid(0, 0)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)

    def tell(told: News | Failure) -> None:
        try:
            news.send(told)
        except OSError:  # who started us is gone, and may be started again: leave the folder to that one
            os._exit(1)

    import torch

    torch.set_num_threads(threads)
    try:
        if not task.is_test:
            task.folder.begin(task.settings.to_json())
        _write_to(task.folder.log_path)
        run_task(task, tell)
    except TlvError as error:
        tell(Failure(error.error_id, error.message, error.hint))
        code = 1
    except Exception as error:
        name = f"{type(error).__name__}: {error}".splitlines()[0]
        traceback.print_exc()
        tell(Failure("internal", name, f"this is a bug of tlv; {task.folder.log_path} shows where"))
        code = 70
    else:
        code = 0
    news.close()
    sys.exit(code)


def _write_to(path: Path) -> None:
    """Let all that is printed, by libraries too, go to the file."""
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    os.close(descriptor)

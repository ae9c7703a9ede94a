"""The cells of a grid, from what is there to all that is left: trained, chosen, tested, cleared away."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from tlvcli.core.wording import counted
from tlvcli.pipelines.comparing.cell_run import Task
from tlvcli.pipelines.comparing.cells import CellSettings
from tlvcli.pipelines.comparing.config import Keep
from tlvcli.pipelines.comparing.folder import CompareFolder
from tlvcli.pipelines.comparing.grid import Cell, Grid, short_cell_names
from tlvcli.pipelines.comparing.jobs import run_tasks
from tlvcli.pipelines.comparing.machine import Machine
from tlvcli.pipelines.comparing.news import Failure, RunningCell, Standing, Watcher
from tlvcli.pipelines.comparing.plan import cells_to_test, cells_to_train, checkpoints_to_drop
from tlvcli.pipelines.comparing.records import Record, read_record
from tlvcli.pipelines.training.interruption import stop_wishes, stopped

# With less of the work done than this, an estimate of the rest would jump.
_LEAST_DONE = 0.02


@dataclass(frozen=True)
class Outcome:
    """What is known of every cell, and why some failed."""

    records: Mapping[Cell, Record]
    failures: Mapping[Cell, Failure]


def read_records(grid: Grid, settings: Mapping[Cell, CellSettings], folder: CompareFolder) -> dict[Cell, Record]:
    """Return what the cells have left so far."""
    return {cell: read_record(folder.cell(cell), settings[cell]) for cell in grid.cells}


def run_cells(
    grid: Grid,
    settings: Mapping[Cell, CellSettings],
    folder: CompareFolder,
    machine: Machine,
    *,
    keep: Keep,
    watcher: Watcher,
) -> Outcome:
    """Run what is left of the grid, several cells at once.

    Raises:
        TlvError: `interrupted` or `terminated` by a signal; finished cells stay.
    """
    work = _Work(grid, settings, folder, keep, watcher, read_records(grid, settings, folder))
    work.clear_away()
    with stop_wishes() as stop:
        run_tasks(work.next_task, machine, finished=work.finished, look=work.look, stopping=work.stopping, stop=stop)
        if stop.number is not None:
            where = f"after {work.num_trained} of {len(grid.cells)} cells were trained"
            raise stopped(stop.number, where, "they are on disk; the same command goes on from there")
    return Outcome(work.records, work.failures)


@dataclass
class _Work:
    grid: Grid
    settings: Mapping[Cell, CellSettings]
    folder: CompareFolder
    keep: Keep
    watcher: Watcher
    records: dict[Cell, Record]
    failures: dict[Cell, Failure] = field(default_factory=dict)
    busy: dict[str, Cell] = field(default_factory=dict)
    num_finished: int = 0
    began: float = field(default_factory=time.monotonic)
    short_names: Mapping[Cell, str] = field(init=False)

    def __post_init__(self) -> None:
        self.short_names = short_cell_names(self.grid)

    @property
    def has_test(self) -> bool:
        return any(settings.test is not None for settings in self.settings.values())

    @property
    def num_trained(self) -> int:
        return sum(record.trained is not None for record in self.records.values())

    def next_task(self) -> Task | None:
        at_work = set(self.busy.values())
        if self.has_test:
            for cell in cells_to_test(self.grid, self.records, self.failures):
                if cell not in at_work and self.records[cell].has_checkpoint:
                    return self._task(cell, is_test=True)
        waiting = cells_to_train(self.grid, self.records, self.failures, has_test=self.has_test, keep=self.keep)
        untouched = next((cell for cell in waiting if cell not in at_work), None)
        return None if untouched is None else self._task(untouched, is_test=False)

    def _task(self, cell: Cell, *, is_test: bool) -> Task:
        self.busy[cell.name] = cell
        return Task(cell.name, self.folder.cell(cell), self.settings[cell], is_test, keep_all=self.keep == "all")

    def finished(self, task: Task, failure: Failure | None, seconds: float) -> None:
        cell = self.busy.pop(task.name)
        record = read_record(task.folder, task.settings)
        self.records[cell] = record
        if failure is None and (record.test_top1 is None if task.is_test else not record.has_checkpoint):
            failure = Failure("cell-unreadable", "its reports cannot be read", f"look into {task.folder.path}")
        if failure:
            self.failures[cell] = failure
            self.watcher.message(f"failed: {cell.name}: {failure.error_id}: {failure.message} ({failure.hint})")
        elif task.is_test:
            self.watcher.message(f"{cell.name}: test top-1 {record.test_top1:.2%}")
        elif record.trained:
            self.num_finished += 1
            done = f"{self.num_trained} of {len(self.records)} cells"
            self.watcher.message(f"{cell.name}: val top-1 {record.trained.val_top1:.2%}, {seconds:.0f} s; {done}")
        self.clear_away()

    def stopping(self, num_running: int) -> None:
        self.watcher.message(f"stopping {counted(num_running, 'cell')}; a second signal ends them at once")

    def clear_away(self) -> None:
        """Delete the checkpoints that nothing needs any more."""
        if self.keep != "all":
            for cell, record in self.records.items():
                if record.trained is not None and cell not in self.busy.values():
                    self.folder.cell(cell).drop_leftovers()
        unneeded = checkpoints_to_drop(self.grid, self.records, self.failures, has_test=self.has_test, keep=self.keep)
        for cell in unneeded:
            if cell not in self.busy.values():
                self.folder.cell(cell).drop_checkpoint()
                self.records[cell] = replace(self.records[cell], has_checkpoint=False)

    def look(self, running: list[RunningCell]) -> None:
        share = sum(cell.news.share for cell in running if cell.news.stage == "train")
        done = self.num_finished + share
        left = len(self.records) - self.num_trained - len(self.failures.keys() - self._trained()) - share
        seconds = time.monotonic() - self.began
        self.watcher.show(
            Standing(
                total=len(self.records),
                done=self.num_trained,
                failed=len(self.failures),
                running=[replace(cell, name=self.short_names[self.busy[cell.name]]) for cell in running],
                seconds_left=max(0.0, left) * seconds / done if done > _LEAST_DONE else None,
            )
        )

    def _trained(self) -> set[Cell]:
        return {cell for cell, record in self.records.items() if record.trained is not None}

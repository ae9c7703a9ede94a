"""One cell at work: the pipelines that its commands call, one after another, with the settings that these have."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from tlvcli.core.config import parse_config
from tlvcli.io.reports import write_report
from tlvcli.pipelines.comparing.cells import CellSettings
from tlvcli.pipelines.comparing.folder import CellFolder
from tlvcli.pipelines.comparing.news import News
from tlvcli.pipelines.training.run_folder import RunFolder

_SECONDS_BETWEEN_NEWS = 0.2


@dataclass(frozen=True)
class Task:
    """What is to be done for a cell: to train it, from its start on, or to test what it has trained."""

    name: str
    folder: CellFolder
    settings: CellSettings
    is_test: bool
    keep_all: bool


def run_task(task: Task, tell: Callable[[News], None]) -> None:
    """Do it, and leave its reports in the cell's folder, which a training finds empty but for its settings.

    Raises:
        TlvError: whatever the commands raise.
    """
    if task.is_test:
        _test(task, tell)
    else:
        _train(task, tell)


def _train(task: Task, tell: Callable[[News], None]) -> None:
    from tlvcli.pipelines import train, transfer
    from tlvcli.pipelines.training.config import TrainConfig
    from tlvcli.pipelines.transferring.config import TransferConfig

    settings, folder = task.settings, task.folder
    if settings.transfer is not None:
        tell(News("transfer"))
        transfer.run(parse_config(TransferConfig, settings.transfer))
    tell(News("train"))
    config = parse_config(TrainConfig, settings.train)
    train.run(config, progress=_Told(tell, "train", RunFolder(folder.run_path), config.epochs))
    if not task.keep_all:
        folder.drop_leftovers()


def _test(task: Task, tell: Callable[[News], None]) -> None:
    from tlvcli.pipelines import eval as evaluation
    from tlvcli.pipelines.evaluating.config import EvalConfig

    assert task.settings.test is not None
    tell(News("eval"))
    config = parse_config(EvalConfig, task.settings.test)
    report = evaluation.run(config, progress=_Told(tell, "eval", RunFolder(task.folder.run_path), 1))
    write_report(report, task.folder.test_path, force=True)


class _Told:
    """A progress that passes on where a training stands; the epochs come from the metrics that it writes."""

    def __init__(self, tell: Callable[[News], None], stage: str, folder: RunFolder, num_epochs: int) -> None:
        self._tell, self._stage, self._folder, self._num_epochs = tell, stage, folder, num_epochs
        self._total, self._done, self._told_at = 1, 0, 0.0
        self._val: list[float] = []

    def start(self, total: int, description: str) -> None:
        self._total, self._done = total, 0
        if self._stage == "train" and self._folder.metrics_path.is_file():
            lines = self._folder.metrics_path.read_text(encoding="utf-8").splitlines()
            self._val = [json.loads(line)["val_top1"] for line in lines]
        self._say()

    def advance(self) -> None:
        self._done += 1
        if time.monotonic() - self._told_at > _SECONDS_BETWEEN_NEWS:
            self._say()

    def message(self, text: str) -> None:
        """Leave out what the report of the run says too."""

    def _say(self) -> None:
        self._told_at = time.monotonic()
        epochs = len(self._val)
        share = (epochs + min(1.0, self._done / max(1, self._total))) / self._num_epochs
        best = max(self._val, default=None)
        self._tell(News(self._stage, epochs, min(1.0, share), best, self._num_epochs))

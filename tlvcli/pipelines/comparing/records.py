"""What finished cells have left: the only memory of a comparison, from which it goes on and its tables are made."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlvcli.pipelines.comparing.cells import CellSettings
from tlvcli.pipelines.comparing.folder import CellFolder


@dataclass(frozen=True)
class Trained:
    """A trained cell: val top-1 after each epoch, that of the best one, and seconds of transfer and training.

    `coverage` is the share of the target taken from the source, None where nothing was transferred.
    """

    epochs: tuple[float, ...]
    best_epoch: int
    val_top1: float
    coverage: float | None
    seconds: float


@dataclass(frozen=True)
class Record:
    """What is known of a cell; `test_top1` only where it was tested, and it may have no checkpoint any more."""

    trained: Trained | None
    test_top1: float | None
    has_checkpoint: bool


NOTHING = Record(None, None, has_checkpoint=False)


def read_record(folder: CellFolder, settings: CellSettings) -> Record:
    """Return what the cell has left; nothing where it was not finished, or run with other settings."""
    try:
        if folder.settings_path.read_text(encoding="utf-8") != settings.to_json():
            return NOTHING
        trained = _read_training(folder, has_transfer=settings.transfer is not None)
    except (OSError, ValueError, KeyError, TypeError):  # never begun, killed on the way, or not ours
        return NOTHING
    return Record(trained, _read_test(folder.test_path), has_checkpoint=folder.best_path.is_file())


def _read_training(folder: CellFolder, *, has_transfer: bool) -> Trained:
    report = _read(folder.train_report_path)
    result, seconds = report["result"], report["run"]["seconds"]
    coverage = None
    if has_transfer:
        transfer = _read(folder.transfer_report_path)
        coverage, seconds = transfer["result"]["coverage"], seconds + transfer["run"]["seconds"]
    epochs = tuple(float(epoch["val_top1"]) for epoch in result["epochs"])
    return Trained(epochs, int(result["best_epoch"]), float(result["val_top1"]), coverage, seconds)


def _read_test(path: Path) -> float | None:
    try:
        return float(_read(path)["result"]["top1"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content

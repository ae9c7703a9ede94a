"""Runs on real digits with networks of a few thousand parameters."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tlvcli.core.report import OutputInfo, Report
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training import fit as fit_module
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.job import EpochResult
from tlvcli.pipelines.training.result import TrainResult

SETTINGS: dict[str, Any] = {
    "data": "digits@train:100",
    "epochs": 2,
    "batch_size": 32,
    "lr": 0.01,
    "device": "cpu",
    "precision": "fp32",
    "image_size": 16,
    "workers": 0,
}
TIMES = {"seconds", "images_per_second", "seconds_waiting", "waiting_share"}

_PLAIN = """
from torch import nn


def make(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(32, num_classes),
    )

"""

Train = Callable[..., Report[TrainResult]]


@pytest.fixture
def plain_network(tmp_path: Path) -> str:
    """A network in which images of a batch do not see each other, and nothing is drawn."""
    path = tmp_path / "plain.py"
    path.write_text(_PLAIN)
    return f"{path}:make"


@pytest.fixture(autouse=True)
def no_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out what takes longer than these trainings: test_curves and test_train draw."""

    def write(epochs: Sequence[EpochResult], path: Path, *, best_epoch: int) -> OutputInfo:
        path.write_bytes(b"")
        return OutputInfo(role="plot", path=str(path), sha256=hashlib.sha256(b"").hexdigest())

    monkeypatch.setattr(fit_module, "draw_curves", write)


@pytest.fixture
def train() -> Train:
    """Train a random start of a network into a folder, with these settings over the usual ones."""

    def start(network: str, out: Path, **settings: Any) -> Report[TrainResult]:
        return run(TrainConfig(checkpoint=f"{network}@random", out=str(out), **{**SETTINGS, **settings}))

    return start


@dataclass
class Trigger:
    """A progress that does something after so many batches."""

    after: int
    action: Callable[[], None]
    messages: list[str] = field(default_factory=list)
    seen: int = 0

    def start(self, total: int, description: str) -> None:
        """Ignore the count."""

    def advance(self) -> None:
        """Count, and act once."""
        self.seen += 1
        if self.seen == self.after:
            self.action()

    def message(self, text: str) -> None:
        """Keep the line."""
        self.messages.append(text)

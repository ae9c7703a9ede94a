"""The picture of a run: 800 pixels wide, replaced whole, and for any number of epochs."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from tlvcli.pipelines.training.curves import draw_curves
from tlvcli.pipelines.training.job import EpochResult


def _epoch(number: int, val_top1: float) -> EpochResult:
    return EpochResult.model_construct(
        epoch=number, train_loss=1 / number, val_loss=1.5 / number, val_top1=val_top1, lr=1e-3 / number
    )


@pytest.mark.parametrize("num_epochs", [1, 40])
def test_a_picture_of_the_run(tmp_path: Path, num_epochs: int) -> None:
    path = tmp_path / "curves.png"
    path.write_text("an earlier one")
    written = draw_curves([_epoch(number, 0.5) for number in range(1, num_epochs + 1)], path, best_epoch=num_epochs)
    with Image.open(path) as image:
        assert image.size == (800, 500)
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_the_best_epoch_shows(tmp_path: Path) -> None:
    epochs = [_epoch(1, 0.5), _epoch(2, 0.5)]
    first, second = (draw_curves(epochs, tmp_path / f"{best}.png", best_epoch=best) for best in (1, 2))
    assert first.sha256 != second.sha256

"""Which epoch is kept, when a run stops early, and what balanced accuracy is."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from tests.pipelines.training.conftest import Train
from tlvcli.core.errors import TlvError
from tlvcli.data.loading import Batch
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase
from tlvcli.pipelines.evaluation import evaluate
from tlvcli.pipelines.precision import autocast_to
from tlvcli.pipelines.training.events import refuse_without_tensorboard
from tlvcli.pipelines.training.job import EpochResult
from tlvcli.pipelines.training.selection import best_of, is_stalled

PLAN = FinetunePlan("full", (Phase(()),))


def _epochs(rows: Sequence[tuple[float, float, float]]) -> list[EpochResult]:
    """Return epochs of top-1, balanced accuracy and loss on val."""
    return [
        EpochResult(
            epoch=number,
            train_loss=1.0,
            val_loss=loss,
            val_top1=top1,
            val_balanced_accuracy=balanced,
            lr=0.1,
            seconds=1.0,
            images_per_second=1.0,
            seconds_waiting=0.0,
            waiting_share=0.0,
        )
        for number, (top1, balanced, loss) in enumerate(rows, start=1)
    ]


def test_the_best_epoch_by_each_measure() -> None:
    epochs = _epochs(
        [(0.8, 0.5, 0.9), (0.9, 0.6, 0.8), (0.9, 0.7, 0.7), (0.9, 0.7, 0.7), (0.7, 0.8, 0.75), (0, 0, 0.6)]
    )
    assert best_of(epochs, "top1").epoch == 3  # the lower loss of two, the first of equals
    assert best_of(epochs, "balanced-accuracy").epoch == 5
    assert best_of(epochs, "loss").epoch == 6


def test_patience_counts_from_the_best_epoch_of_the_last_phase() -> None:
    epochs = _epochs([(0.5, 0, 1), (0.9, 0, 1), (0.8, 0, 1), (0.7, 0, 1)])
    assert not is_stalled(epochs, PLAN, best_by="top1", patience=3)
    assert is_stalled(epochs, PLAN, best_by="top1", patience=2)
    assert not is_stalled(epochs, PLAN, best_by="top1", patience=None)
    probe = FinetunePlan("lp-ft", (Phase((), epochs=3), Phase(())))
    assert not is_stalled(epochs, probe, best_by="top1", patience=2)
    assert is_stalled(epochs, probe, best_by="top1", patience=1)


def test_a_run_that_stalls_ends(small_network: str, tmp_path: Path, train: Train) -> None:
    # A rate of almost nothing brings nothing: the first epoch stays the best.
    report = train(small_network, tmp_path / "run", epochs=6, lr=1e-12, ema=0.5, patience=2)
    assert report.result.stopped_early
    assert len(report.result.epochs) - report.result.best_epoch == 2 < 6
    assert len((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()) == len(report.result.epochs)


def test_balanced_accuracy_is_sklearns() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 4, (60,), generator=generator).clamp(max=2)  # class 3 has no images, but is guessed
    logits = torch.randn(60, 4, generator=generator)
    batches = [Batch(logits[part], labels[part], torch.arange(60)[part], 30) for part in (slice(0, 30), slice(30, 60))]
    module = nn.Linear(4, 4, bias=False)
    nn.init.eye_(module.weight)
    found = evaluate(module, batches, autocast=autocast_to("fp32", torch.device("cpu")))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of sklearn, for the class without images
        expected = balanced_accuracy_score(labels, logits.argmax(1))
    assert found.balanced_accuracy == pytest.approx(expected, rel=1e-12)
    assert found.top1 == float((logits.argmax(1) == labels).double().mean())


def test_tensorboard_is_an_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tlvcli.pipelines.training.events.find_spec", lambda name: None)
    with pytest.raises(TlvError, match="tensorboard is not installed") as caught:
        refuse_without_tensorboard()
    assert (caught.value.error_id, caught.value.hint) == ("extra-missing", "pip install 'tlvcli[tensorboard]'")


def test_events_for_tensorboard(small_network: str, tmp_path: Path, train: Train) -> None:
    pytest.importorskip("tensorboard")
    train(small_network, tmp_path / "run", epochs=1, tensorboard=True)
    assert len(list((tmp_path / "run" / "tensorboard").iterdir())) == 1

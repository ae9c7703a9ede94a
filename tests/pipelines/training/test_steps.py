"""Steps against formulas: accumulation, clipping, losses; and what no recipe may move."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import one_hot

from tests.pipelines.training.conftest import SETTINGS, Train
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.models.builders import build
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.epochs import EpochShape
from tlvcli.pipelines.training.losses import training_loss
from tlvcli.pipelines.training.tally import RunningEpoch, Tally


def _start(network: str) -> dict[str, Tensor]:
    return build(Architecture(name=network, num_classes=10), seed=0).state_dict()


def test_small_batches_add_up_to_a_large_one(plain_network: str, tmp_path: Path, train: Train) -> None:
    # 100 images: three steps of 32, and one of the last 4; in parts, two of 16 each time, then one of 4.
    large = train(plain_network, tmp_path / "large", l2sp=0.5, optimizer="sgd")
    small = train(plain_network, tmp_path / "small", l2sp=0.5, optimizer="sgd", batch_size=16, accumulate=2)
    expected, found = load_file(tmp_path / "large" / "last.safetensors"), load_file(tmp_path / "small/last.safetensors")
    assert not torch.equal(expected["0.weight"], _start(plain_network)["0.weight"])
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)
    assert [epoch.lr for epoch in small.result.epochs] == [epoch.lr for epoch in large.result.epochs]
    assert small.result.epochs[1].train_loss == pytest.approx(large.result.epochs[1].train_loss, rel=1e-5)


def test_the_last_step_of_an_epoch_takes_what_is_left() -> None:
    shape = EpochShape(num_images=71, batch_size=10, accumulate=3)
    assert (shape.num_batches, shape.num_steps) == (8, 3)
    assert [shape.images_of_step(step) for step in range(3)] == [30, 30, 11]
    assert [shape.batches_of_step(step) for step in range(3)] == [3, 3, 2]
    assert [shape.batches_before(step) for step in range(4)] == [0, 3, 6, 8]


def test_clipping_bounds_the_step(plain_network: str, tmp_path: Path, train: Train) -> None:
    settings = {"optimizer": "sgd", "weight_decay": 0.0, "epochs": 1, "batch_size": 100, "warmup_epochs": 0, "lr": 0.5}
    train(plain_network, tmp_path / "run", **settings, head_rate=1.0, clip_norm=0.01)
    before, after = _start(plain_network), load_file(tmp_path / "run" / "last.safetensors")
    moved = torch.cat([(after[name] - before[name]).flatten() for name in before])
    # The first step of Nesterov's momentum 0.9 is 1.9 times the rate times the gradient.
    assert float(moved.norm()) == pytest.approx(0.5 * 1.9 * 0.01, rel=1e-3)


def test_the_loss_by_hand() -> None:
    generator = torch.Generator().manual_seed(0)
    logits, labels = torch.randn(6, 4, generator=generator), torch.tensor([0, 3, 1, 1, 2, 0])
    shares = torch.rand(6, 4, generator=generator).softmax(1)
    weights = torch.tensor([0.5, 2.0, 1.0, 0.25])
    logs = (logits - logits.exp().sum(1, keepdim=True).log()).numpy()
    for target, soft in ((labels, one_hot(labels, 4).float()), (shares, shares)):
        smoothed = 0.8 * soft.numpy() + 0.2 / 4
        plain = -(smoothed * logs).sum(1)
        weighed = -(smoothed * logs * weights.numpy()).sum(1)
        assert float(training_loss(logits, target, label_smoothing=0.2)) == pytest.approx(plain.mean(), rel=1e-5)
        found = training_loss(logits, target, label_smoothing=0.2, class_weights=weights)
        assert float(found) == pytest.approx(np.sum(weighed) / 6, rel=1e-5)


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_masks_hold_to_the_bit_whatever_the_recipe(
    small_network: str, tmp_path: Path, train: Train, optimizer: str
) -> None:
    frozen = [0, 3, 7, 15]
    mask = torch.tensor([int(k in frozen) for k in range(16)], dtype=torch.uint8)
    save_file({"0.weight": mask}, tmp_path / "mask.safetensors", metadata={"tlv_kind": "mask"})
    report = train(
        small_network,
        tmp_path / "run",
        mask=str(tmp_path / "mask.safetensors"),
        optimizer=optimizer,
        weight_decay=0.1,
        ema=0.6,
        batch_size=16,
        accumulate=2,
        clip_norm=0.5,
        mixup=0.3,
        cutmix=0.5,
        label_smoothing=0.1,
    )
    assert report.result.averaged
    before = _start(small_network)
    network = load_file(tmp_path / "run" / "resume.safetensors")
    average = load_file(tmp_path / "run" / "last.safetensors")
    for name in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        for after in (average[name], network[f"network.{name}"]):
            assert torch.equal(before[name][frozen], after[frozen]), name
    assert not torch.equal(average["0.weight"], network["network.0.weight"])
    assert torch.equal(average["0.weight"], network["average.0.weight"])


def test_a_frozen_backbone_is_the_same_in_the_average(small_network: str, tmp_path: Path, train: Train) -> None:
    train(small_network, tmp_path / "run", strategy="linear-probe", ema=0.6, clip_norm=1.0)
    before, after = _start(small_network), load_file(tmp_path / "run" / "best.safetensors")
    assert {name for name in before if not torch.equal(before[name], after[name])} == {"9.weight", "9.bias"}


def test_the_memory_format_changes_speed_alone(small_network: str, tmp_path: Path, train: Train) -> None:
    train(small_network, tmp_path / "plain", epochs=1, optimizer="sgd")
    train(small_network, tmp_path / "last", epochs=1, optimizer="sgd", channels_last=False)
    expected = load_file(tmp_path / "plain" / "last.safetensors")
    torch.testing.assert_close(load_file(tmp_path / "last" / "last.safetensors"), expected, rtol=1e-3, atol=1e-4)


def test_sampling_and_weights_are_taken(small_network: str, tmp_path: Path, train: Train) -> None:
    settings = [{}, {"shuffle": False}, {"balanced": True}, {"class_weights": "balanced"}, {"erasing": 1.0}]
    results = [
        train(small_network, tmp_path / str(k), epochs=1, data="digits@train:37", **more)
        for k, more in enumerate(settings)
    ]
    assert len({report.result.epochs[0].train_loss for report in results}) == len(settings)


def test_a_checkpoint_may_recommend_rates(small_network: str, tmp_path: Path, train: Train) -> None:
    before = _start(small_network)
    provenance = Provenance(
        architecture=Architecture(name=small_network, num_classes=10),
        made_by=MadeBy(command="transfer", method="test", tlv_version="0"),
        recommended_rates={"0": 0.0, "1": 0.0, "3": 0.5, "4": 3.0},
    )
    start = tmp_path / "start.safetensors"
    save_file(before, start, metadata={"format": "pt", "tlv": provenance.model_dump_json()})
    settings = {**SETTINGS, "checkpoint": str(start), "epochs": 1}
    report = run(TrainConfig(**settings, out=str(tmp_path / "run")))
    rates = {row.name: row.lr for row in report.result.parameters}
    assert (rates["0.weight"], rates["1.bias"], rates["3.weight"], rates["4.weight"]) == (0.0, 0.0, 0.005, 0.03)
    after = load_file(tmp_path / "run" / "last.safetensors")
    still = {name for name in before if torch.equal(before[name], after[name])}
    assert still == {name for name in before if name.startswith(("0.", "1."))}  # statistics too
    plain = run(TrainConfig(**settings, out=str(tmp_path / "plain"), recommended_rates=False, dry_run=True))
    assert {row.lr for row in plain.result.parameters} == {0.01}
    by_sgd = run(TrainConfig(**settings, out=str(tmp_path / "sgd"), optimizer="sgd", dry_run=True))
    assert {row.lr for row in by_sgd.result.parameters} == {0.0, 0.005, 0.01}  # it is not to hurry


def test_losses_are_looked_at_together_and_the_first_bad_one_is_named() -> None:
    def fail(loss: float, batch: int) -> TlvError:
        return TlvError("loss-not-finite", f"{loss} in batch {batch}", "")

    tally = Tally(RunningEpoch(loss_sum=1.0, images=2), look_every=3, fail=fail)
    for number, loss in enumerate((0.5, 1.5), start=1):
        tally.add(torch.tensor(loss), torch.tensor(loss), images=4, batch=number, learning_rate=0.1)
    assert tally.sums().images == 2  # not looked at yet
    tally.settle()
    assert (tally.sums().images, tally.sums().loss_sum) == (10, 1.0 + 4 * 0.5 + 4 * 1.5)
    tally.add(torch.tensor(1.0), torch.tensor(float("inf")), images=4, batch=3, learning_rate=0.1)
    tally.add(torch.tensor(float("nan")), torch.tensor(float("nan")), images=4, batch=4, learning_rate=0.1)
    with pytest.raises(TlvError, match="inf in batch 3"):
        tally.add(torch.tensor(1.0), torch.tensor(1.0), images=4, batch=5, learning_rate=0.1)


@pytest.mark.slow
def test_a_compiled_network_keeps_its_names(small_network: str, tmp_path: Path, train: Train) -> None:
    train(small_network, tmp_path / "run", epochs=1, compile=True, data="digits@train:64")
    assert set(load_file(tmp_path / "run" / "best.safetensors")) == set(_start(small_network))

"""`train` by every strategy on real digits: what is frozen stays to the bit, what is refused leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Report
from tlvcli.core.runtime import seeded_globally
from tlvcli.data.datasets import open_training_data
from tlvcli.data.loading import Batch, training_batches
from tlvcli.data.reference import parse_data_reference
from tlvcli.methods.finetuning.plan import FinetunePlan
from tlvcli.models.builders import build
from tlvcli.pipelines.eval import EvalConfig
from tlvcli.pipelines.eval import run as evaluate
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.plan import reinitialise
from tlvcli.pipelines.training.result import TrainResult

DEFAULTS: dict[str, Any] = {
    "data": "digits@train:160",
    "epochs": 2,
    "lr": 0.02,
    "device": "cpu",
    "precision": "fp32",
    "image_size": 16,
}
OPTIMIZERS = ("sgd", "adam", "adamw")
CLASSIFIER = """
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes, in_chans):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(in_chans, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(32, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, num_classes))

    def forward(self, x):
        return self.classifier(self.features(x).flatten(1))

def make(num_classes, in_chans=3):
    return Net(num_classes, in_chans)
"""


def _train(network: str, out: Path, **settings: Any) -> Report[TrainResult]:
    return run(TrainConfig(checkpoint=f"{network}@random", out=str(out), **{**DEFAULTS, **settings}))


def _start(network: str) -> dict[str, Tensor]:
    return build(Architecture(name=network, num_classes=10), seed=0).state_dict()


def _write_mask(path: Path, masks: dict[str, list[int]], kind: str = "mask") -> str:
    tensors = {name: torch.tensor(rows, dtype=torch.uint8) for name, rows in masks.items()}
    save_file(tensors, path, metadata={"tlv_kind": kind})
    return str(path)


def _batches(report: Report[TrainResult], epochs: int) -> Iterator[Batch]:
    data = open_training_data(parse_data_reference(DEFAULTS["data"]), data_seed=0, download=False)
    return training_batches(
        data.train,
        report.result.preprocessing,
        batch_size=32,
        epochs=epochs,
        seed=0,
        workers=0,
        device=torch.device("cpu"),
        drop_single=True,
    )


def test_the_default_recipe_by_hand_to_the_bit(small_network: str, tmp_path: Path) -> None:
    report = _train(small_network, tmp_path / "run", lr=None)
    assert (report.config["lr"], report.config["weight_decay"], report.config["head_rate"]) == (3e-4, 0.05, 10.0)
    module = build(Architecture(name=small_network, num_classes=10), seed=0)
    module.to(memory_format=torch.channels_last)
    weights = [p for p in module.parameters() if p.ndim > 1]
    others = [p for p in module.parameters() if p.ndim == 1]
    groups = [{"params": weights, "weight_decay": 0.05}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, fused=True)
    batches = _batches(report, epochs=2)
    for epoch in (1, 2):
        module.train()
        for step, batch in enumerate(islice(batches, 5), start=(epoch - 1) * 5):
            # Half an epoch of five steps is two (half to even), then a half cosine over the other eight.
            rate = 3e-4 * (step + 1) / 2 if step < 2 else 3e-4 * 0.5 * (1 + math.cos(math.pi * ((step - 2) / 8)))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.zero_grad()
            with seeded_globally(0, "training", epoch, step % 5 + 1):
                images = batch.images.contiguous(memory_format=torch.channels_last)
                cross_entropy(module(images), batch.labels).backward()
            optimizer.step()
    trained = load_file(tmp_path / "run" / "last.safetensors")
    assert all(torch.equal(tensor, trained[name]) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_linear_probe_leaves_the_backbone_to_the_bit(small_network: str, tmp_path: Path, optimizer: str) -> None:
    report = _train(small_network, tmp_path / "run", strategy="linear-probe", optimizer=optimizer, weight_decay=0.1)
    before, after = _start(small_network), load_file(tmp_path / "run" / "last.safetensors")
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert moved == {"9.weight", "9.bias"}
    assert report.result.trained_parameters == 128 * 10 + 10
    assert report.result.strategy == "linear-probe"


def test_a_frozen_normalisation_takes_batches_of_one(small_network: str, tmp_path: Path) -> None:
    settings = {"strategy": "linear-probe", "data": "digits@train:10", "batch_size": 1, "epochs": 1}
    assert not _train(small_network, tmp_path / "run", **settings).warnings


def test_lp_ft_begins_as_a_probe(small_network: str, tmp_path: Path) -> None:
    probe = _train(small_network, tmp_path / "probe", strategy="linear-probe", epochs=1)
    both = _train(small_network, tmp_path / "both", strategy="lp-ft", probe_epochs=1)
    timeless = {"seconds", "images_per_second", "seconds_waiting", "waiting_share"}
    assert both.result.epochs[0].model_dump(exclude=timeless) == probe.result.epochs[0].model_dump(exclude=timeless)
    after = load_file(tmp_path / "both" / "last.safetensors")
    assert not any(torch.equal(tensor, after[name]) for name, tensor in _start(small_network).items())


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("drawn_by", [{"weight_decay": 0.1}, {"regularizer": "l2-sp"}])
def test_masked_kernels_stay_to_the_bit(
    small_network: str, tmp_path: Path, optimizer: str, drawn_by: dict[str, Any]
) -> None:
    frozen, free = [0, 3, 7, 15], [k for k in range(16) if k not in (0, 3, 7, 15)]
    mask = _write_mask(tmp_path / "mask.safetensors", {"0.weight": [int(k in frozen) for k in range(16)]})
    _train(small_network, tmp_path / "run", mask=mask, optimizer=optimizer, **drawn_by)
    before, after = _start(small_network), load_file(tmp_path / "run" / "last.safetensors")
    for name in ("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        assert torch.equal(before[name][frozen], after[name][frozen]), name
        rows = [(before[name][row] != after[name][row]).any() for row in free]
        # Adam does not care how little a bias before normalisation matters; SGD may leave it where it is.
        assert all(rows) or name == "0.bias", name
    assert not torch.equal(before["3.weight"], after["3.weight"])


def test_a_soft_mask_slows_what_a_hard_one_stops(small_network: str, tmp_path: Path) -> None:
    mask = _write_mask(tmp_path / "mask.safetensors", {"0.weight": [1] * 16})
    before = _start(small_network)["0.weight"]
    moved = {}
    for scale in (0.0, 0.001, 1.0):
        out = tmp_path / f"run{scale}"
        _train(small_network, out, mask=mask, mask_scale=scale)
        moved[scale] = float((load_file(out / "last.safetensors")["0.weight"] - before).norm())
    assert moved[0.0] == 0
    assert 0 < moved[0.001] < 0.01 * moved[1.0]


def test_masks_and_l2_sp_hold_in_half_precision(small_network: str, tmp_path: Path) -> None:
    mask = _write_mask(tmp_path / "mask.safetensors", {"3.weight": [1] * 32})
    report = _train(small_network, tmp_path / "run", mask=mask, l2sp=5.0, optimizer="sgd", precision="bf16")
    assert report.result.precision == "bf16"
    before, after = _start(small_network), load_file(tmp_path / "run" / "last.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in ("3.weight", "4.bias", "4.running_var"))
    assert not torch.equal(before["9.weight"], after["9.weight"])


def test_a_mask_is_an_input_of_the_checkpoint(small_network: str, tmp_path: Path) -> None:
    mask = _write_mask(tmp_path / "mask.safetensors", {"0.weight": [1] * 16})
    report = _train(small_network, tmp_path / "run", mask=mask, epochs=1)
    sha256 = hashlib.sha256(Path(mask).read_bytes()).hexdigest()
    assert [(entry.role, entry.sha256) for entry in report.inputs][1] == ("mask", sha256)
    with safe_open(tmp_path / "run" / "best.safetensors", framework="pt") as file:
        said = json.loads(file.metadata()["tlv"])["made_by"]["made_from"]
    assert said == [{"name": "mask.safetensors", "sha256": sha256}]


def test_l2_sp_holds_weights_near_their_start(small_network: str, tmp_path: Path) -> None:
    before, moved = _start(small_network)["3.weight"], {}
    for l2sp in (None, 0.0, 20.0):
        out = tmp_path / f"run{l2sp}"
        report = _train(small_network, out, l2sp=l2sp, optimizer="sgd", weight_decay=0.0)
        moved[l2sp] = load_file(out / "last.safetensors")["3.weight"] - before
    assert torch.equal(moved[None], moved[0.0])
    assert moved[20.0].norm() < 0.3 * moved[None].norm()
    assert {row.weight_decay for row in report.result.parameters} == {0.0}
    assert {row.name for row in report.result.parameters if row.l2_sp == 20} == {"0.weight", "3.weight", "9.weight"}


def test_new_layers_start_by_the_architectures_own_rule(small_network: str) -> None:
    architecture = Architecture(name=small_network, num_classes=10)
    module = build(architecture, seed=1)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    names = ("3.weight", "3.bias", "4.running_mean")
    reinitialise(module, FinetunePlan("non-binary", (), reinitialised=names), architecture, seed=0)
    fresh = _start(small_network)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, fresh[name] if name in names else before[name]), name


def test_non_binary_with_a_frozen_lower_part(small_network: str, tmp_path: Path) -> None:
    report = _train(
        small_network, tmp_path / "run", strategy="non-binary", new_layers=2, num_lowlrs=1, lr="0.02,0.01,0"
    )
    rates = {row.name: (row.group, row.lr) for row in report.result.parameters}
    assert rates["0.weight"] == rates["1.bias"] == ("frozen", 0.0)
    assert rates["3.weight"] == rates["4.weight"] == ("high", 0.01)
    assert rates["9.weight"] == ("head", 0.02)
    before, after = _start(small_network), load_file(tmp_path / "run" / "last.safetensors")
    assert all(torch.equal(before[name], after[name]) for name in before if name.startswith(("0.", "1.")))
    assert report.result.replaced == ["freshly initialised: 3, 4, 9"]


def test_a_linear_head_in_place_of_the_classifier(tmp_path: Path) -> None:
    file, start = tmp_path / "net.py", tmp_path / "start.pt"
    file.write_text(CLASSIFIER)
    network = f"{file}:make"
    old = build(Architecture(name=network, num_classes=4), seed=3).state_dict()
    torch.save(old, start)
    settings = {**DEFAULTS, "checkpoint": str(start), "arch": network, "out": str(tmp_path / "run")}
    report = run(TrainConfig(**settings, strategy="linear-probe", head="linear"))
    assert report.result.architecture == Architecture(name=network, num_classes=10, head="linear")
    assert report.result.replaced == ["head classifier: 4 -> 10 classes, freshly initialised"]
    trained = load_file(tmp_path / "run" / "best.safetensors")
    assert trained["classifier.weight"].shape == (10, 32)
    assert torch.equal(trained["features.0.weight"], old["features.0.weight"])
    build(report.result.architecture, seed=0).load_state_dict(trained, strict=True)
    best = tmp_path / "run" / "best.safetensors"
    measured = evaluate(EvalConfig(checkpoint=str(best), data="digits@val", device="cpu", precision="fp32"))
    assert measured.result.top1 == report.result.val_top1


@pytest.mark.parametrize(
    "settings",
    [
        {"strategy": "lp-ft", "probe_epochs": 1},
        {"strategy": "layer-decay", "optimizer": "sgd", "schedule": "step", "decay_epochs": 1, "lr": None},
        {"strategy": "two-rate", "regularizer": "l2-sp"},
    ],
)
def test_the_reported_settings_repeat_the_run(small_network: str, tmp_path: Path, settings: dict[str, Any]) -> None:
    first = _train(small_network, tmp_path / "first", **settings)
    assert first.result.epochs[-1].val_loss < first.result.epochs[0].val_loss
    again = run(parse_config(TrainConfig, {**first.config, "out": str(tmp_path / "again")}))
    assert [o.sha256 for o in again.outputs[:2]] == [o.sha256 for o in first.outputs[:2]]


def test_a_dry_run_names_every_parameter_and_writes_nothing(small_network: str, tmp_path: Path) -> None:
    mask = _write_mask(tmp_path / "mask.safetensors", {"3.weight": [1] * 8 + [0] * 24})
    out = tmp_path / "run"
    report = _train(small_network, out, strategy="two-rate", mask=mask, l2sp=0.5, dry_run=True)
    assert not out.exists()
    assert (report.outputs, report.result.epochs, report.result.best_epoch) == ([], [], None)
    rows = {row.name: row for row in report.result.parameters}
    assert list(rows) == [
        name for name, _ in build(Architecture(name=small_network, num_classes=10), seed=0).named_parameters()
    ]
    kernel, scale, head = rows["3.weight"], rows["4.weight"], rows["9.bias"]
    assert (kernel.group, kernel.lr, kernel.l2_sp, kernel.masked) == ("backbone", 0.002, 0.5, 0.25)
    assert (scale.weight_decay, scale.l2_sp, scale.masked) == (0.0, 0.0, 0.25)
    assert (head.group, head.lr, head.masked) == ("head", 0.02, 0.0)


@pytest.mark.parametrize(
    ("settings", "error_id", "words"),
    [
        ({"strategy": "two-rates"}, "strategy-unknown", "two-rates"),
        ({"backbone_lr_scale": 0.1}, "option-not-taken", "strategy full does not take backbone_lr_scale"),
        ({"strategy": "two-rate", "num_lowlrs": 2}, "option-not-taken", "two-rate does not take num_lowlrs"),
        ({"strategy": "full", "new_layers": 4}, "layers-too-many", "3 layers to start afresh"),
        ({"strategy": "two-rate", "backbone_lr_scale": -1}, "config-invalid", "backbone_lr_scale"),
        ({"strategy": "non-binary", "new_layers": 4}, "layers-too-many", "3 layers to start afresh"),
        ({"strategy": "non-binary", "num_lowlrs": 3}, "layers-too-many", "2 layers before its classifier"),
        ({"strategy": "lp-ft", "probe_epochs": 2}, "config-invalid", "leaves nothing of 2 epochs"),
        ({"strategy": "lp-ft", "probe_epochs": 1, "warmup_epochs": 1.5}, "config-invalid", "phase of 1 epochs"),
    ],
)
def test_what_is_refused_leaves_nothing_behind(
    small_network: str, tmp_path: Path, settings: dict[str, Any], error_id: str, words: str
) -> None:
    with pytest.raises(TlvError, match=words) as caught:
        _train(small_network, tmp_path / "run", **settings)
    assert caught.value.error_id == error_id
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lr": -0.1}, "lr: must not be negative"),
        ({"lr": "0.1,-1,0"}, "lr: must not be negative"),
        ({"lr": "0.1,0.2"}, "lr: write one number, or three"),
        ({"lr": "nan"}, "lr: write one number"),
        ({"lr": 0}, "lr: a rate of 0 for everything trains nothing"),
        ({"lr": "1,2,3"}, "lr: only non-binary"),
        ({"lr": "1,2,3", "strategy": "non-binary"}, "num_lowlrs must say"),
        ({"l2sp": "1,2,3", "strategy": "two-rate"}, "l2sp: only non-binary"),
        ({"mask_scale": 0.5}, "mask_scale: there is no mask"),
        ({"decay_rate": 0.5}, "decay_rate: belongs to schedule step"),
        ({"optimizer": "lion"}, "optimizer: "),
    ],
)
def test_settings_that_contradict(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(TlvError, match=words) as caught:
        parse_config(TrainConfig, {"checkpoint": "a", "data": "b", "out": "c", **settings})
    assert caught.value.error_id == "config-invalid"


@pytest.mark.parametrize(
    ("masks", "kind", "settings", "words"),
    [
        ({"conv1.weight": [1]}, "mask", {}, "the mask is for another network: no layer has the weight conv1.weight"),
        ({"0.weight": [1] * 16}, "weights", {}, "is no mask"),
        ({"3.weight": [1] * 32}, "mask", {"strategy": "non-binary", "new_layers": 2}, "which start afresh"),
    ],
)
def test_masks_that_do_not_fit(
    small_network: str, tmp_path: Path, masks: dict[str, list[int]], kind: str, settings: dict[str, Any], words: str
) -> None:
    mask = _write_mask(tmp_path / "mask.safetensors", masks, kind)
    with pytest.raises(TlvError, match=words):
        _train(small_network, tmp_path / "run", mask=mask, **settings)
    assert not (tmp_path / "run").exists()

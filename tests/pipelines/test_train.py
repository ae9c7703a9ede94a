"""`train` on real digits with a network of 6000 parameters: what it writes, that it repeats, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.nn.functional import cross_entropy

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Report
from tlvcli.models.builders import build
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training import fit as fit_module
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.losses import training_loss
from tlvcli.pipelines.training.result import TrainResult


def _train(network: str, out: Path, **settings: Any) -> Report[TrainResult]:
    defaults: dict[str, Any] = {
        "data": "digits@train:300",
        "epochs": 2,
        "batch_size": 32,
        "lr": 1e-2,
        "device": "cpu",
        "precision": "fp32",
    }
    return run(TrainConfig(checkpoint=f"{network}@random", out=str(out), **{**defaults, **settings}))


def test_digits_are_learned(small_network: str, tmp_path: Path) -> None:
    report = _train(small_network, tmp_path / "run", data="digits", epochs=3)
    assert report.result.val_top1 > 0.9
    assert report.result.epochs[-1].train_loss < report.result.epochs[0].train_loss
    assert (report.result.num_train_images, report.result.num_val_images) == (1258, 180)


def test_the_run_folder(small_network: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    report = _train(small_network, out)
    assert sorted(file.name for file in out.iterdir()) == [
        "best.safetensors",
        "curves.png",
        "last.safetensors",
        "metrics.jsonl",
        "report.json",
        "resume.json",
        "resume.safetensors",
    ]
    assert json.loads((out / "report.json").read_text()) == json.loads(report.to_json())
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert lines == [epoch.model_dump() for epoch in report.result.epochs]
    assert [line["epoch"] for line in lines] == [1, 2]
    best = max(lines, key=lambda line: (line["val_top1"], -line["val_loss"]))
    assert report.result.best_epoch == best["epoch"]
    assert (report.result.val_top1, report.result.val_loss) == (best["val_top1"], best["val_loss"])
    module = build(Architecture(name=small_network, num_classes=10), seed=0)
    module.load_state_dict(load_file(out / "best.safetensors"), strict=True)
    assert report.result.trained_parameters == sum(p.numel() for p in module.parameters())


def test_the_checkpoint_says_how_it_was_made(small_network: str, tmp_path: Path) -> None:
    report = _train(small_network, tmp_path / "run", image_size=16, epochs=1)
    with safe_open(tmp_path / "run" / "best.safetensors", framework="pt") as file:
        said = json.loads(file.metadata()["tlv"])
    assert said["class_names"] == list("0123456789")
    assert (said["preprocessing"]["image_size"], said["preprocessing"]["resize_size"]) == (16, 16)
    assert (said["made_by"]["command"], said["made_by"]["method"]) == ("train", "full")
    again = run(
        TrainConfig(
            checkpoint=str(tmp_path / "run" / "best.safetensors"),
            data="digits@train:100",
            out=str(tmp_path / "again"),
            epochs=1,
        )
    )
    assert again.result.preprocessing == report.result.preprocessing
    with safe_open(tmp_path / "again" / "best.safetensors", framework="pt") as file:
        ancestor = json.loads(file.metadata()["tlv"])["made_by"]["made_from"][0]
    assert ancestor["sha256"] == next(o.sha256 for o in report.outputs if o.path.endswith("best.safetensors"))


def test_a_seed_repeats_the_run(small_network: str, tmp_path: Path) -> None:
    def hashes(name: str, **settings: Any) -> list[str]:
        report = _train(small_network, tmp_path / name, **settings)
        return [output.sha256 for output in report.outputs if output.role == "checkpoint"]

    first = hashes("first")
    assert hashes("second") == first
    assert hashes("workers", workers=2) == first
    assert hashes("other", seed=1) != first


def test_the_global_generator_is_left_alone(small_network: str, tmp_path: Path) -> None:
    before = torch.get_rng_state()
    _train(small_network, tmp_path / "run", epochs=1)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_head_of_another_size_is_replaced_and_said_so(tmp_path: Path) -> None:
    start = tmp_path / "start.pt"
    torch.save(build(Architecture(name="squeezenet1_1", num_classes=7), seed=0).state_dict(), start)
    report = run(
        TrainConfig(
            checkpoint=str(start), arch="squeezenet1_1", data="digits@train:40", out=str(tmp_path / "run"), epochs=1
        )
    )
    assert [("7 -> 10" in message) for message in report.result.replaced] == [True]
    assert report.result.architecture.num_classes == 10


def test_messages_and_steps_are_told(small_network: str, tmp_path: Path) -> None:
    class Listener:
        def __init__(self) -> None:
            self.totals: list[int] = []
            self.steps = 0
            self.messages: list[str] = []

        def start(self, total: int, description: str) -> None:
            self.totals.append(total)

        def advance(self) -> None:
            self.steps += 1

        def message(self, text: str) -> None:
            self.messages.append(text)

    listener = Listener()
    config = TrainConfig(
        checkpoint=f"{small_network}@random", data="digits@train:65", out=str(tmp_path / "run"), epochs=2, batch_size=32
    )
    report = run(config, progress=listener)
    # 65 images: two batches of 32, and one image left out; 180 val images in six batches.
    assert listener.totals == [2 + 6, 2 + 6]
    assert listener.steps == sum(listener.totals)
    assert any("leaves out one image" in text for text in listener.messages)
    told = [text for text in listener.messages if not text.startswith("epoch ")]
    assert told == [f"warning: {text}" for text in report.warnings]


def test_fewer_images_than_a_batch(small_network: str, tmp_path: Path) -> None:
    report = _train(small_network, tmp_path / "run", data="digits@train:10", batch_size=64)
    assert report.result.num_train_images == 10


def test_batches_of_one_image_are_refused(small_network: str, tmp_path: Path) -> None:
    for settings in ({"batch_size": 1}, {"data": "digits@train:1"}):
        with pytest.raises(TlvError) as caught:
            _train(small_network, tmp_path / "run", **settings)
        assert caught.value.error_id == "batch-too-small"
        assert not (tmp_path / "run").exists()


def test_a_loss_that_is_not_finite_stops_the_run(small_network: str, tmp_path: Path) -> None:
    with pytest.raises(TlvError, match=r"in epoch 1, step (\d+), batch \1; no checkpoint was written yet") as caught:
        _train(small_network, tmp_path / "run", lr=1e30, warmup_epochs=0)
    assert caught.value.error_id == "loss-not-finite"
    assert "--lr" in caught.value.hint
    assert not (tmp_path / "run").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(TlvError):
        _train(small_network, tmp_path / "mine", lr=1e30, warmup_epochs=0)
    assert list((tmp_path / "mine").iterdir()) == []


def test_weights_that_are_not_finite_are_told_from_a_rate_too_high(small_network: str, tmp_path: Path) -> None:
    first = _train(small_network, tmp_path / "first", data="digits@train:40", epochs=1)
    start = tmp_path / "first" / "last.safetensors"
    with safe_open(start, "pt") as file:
        metadata = file.metadata()
    tensors = load_file(start)
    tensors["0.weight"][0] = torch.nan
    save_file(tensors, tmp_path / "nan.safetensors", metadata=metadata)
    config = {**first.config, "checkpoint": str(tmp_path / "nan.safetensors"), "out": str(tmp_path / "run")}
    with pytest.raises(TlvError, match="the loss is nan in epoch 1, step 1, batch 1") as caught:
        run(parse_config(TrainConfig, config))
    assert f"tlv inspect {tmp_path}/nan.safetensors --stats --fail-on nan" in caught.value.hint
    assert "--lr" not in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_what_was_complete_is_on_disk(small_network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, epochs = fit_module.train_epoch, []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        epochs.append(options["last_good"])
        if len(epochs) == 3:
            raise KeyboardInterrupt
        return real(*arguments, **options)

    monkeypatch.setattr(fit_module, "train_epoch", interrupted)
    out = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        _train(small_network, out, data="digits@train:100", epochs=5)
    assert epochs[2] == f"the last good checkpoint is {out}/last.safetensors"
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 2
    assert {file.name for file in out.iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "metrics.jsonl",
        "resume.json",
        "resume.safetensors",
    }
    assert load_file(out / "last.safetensors")


def test_a_run_is_replaced_only_with_force(small_network: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    settings = {"data": "digits@train:40", "epochs": 1}
    first = _train(small_network, out, **settings)
    (out / "notes.txt").write_text("mine")
    before = {file.name: file.read_bytes() for file in out.iterdir()}
    with pytest.raises(TlvError) as caught:
        _train(small_network, out, **settings, seed=1)
    assert caught.value.error_id == "output-exists"
    assert {file.name: file.read_bytes() for file in out.iterdir()} == before
    second = _train(small_network, out, **settings, seed=1, force=True)
    assert second.outputs[0].sha256 != first.outputs[0].sha256
    assert (out / "notes.txt").read_text() == "mine"
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_run_does_not_write_over_its_source(small_network: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    _train(small_network, out, data="digits@train:40", epochs=1)
    config = TrainConfig(checkpoint=str(out / "last.safetensors"), data="digits", out=str(out), force=True)
    with pytest.raises(TlvError) as caught:
        run(config)
    assert caught.value.error_id == "output-is-input"


@pytest.mark.parametrize(
    ("settings", "error_id"),
    [
        ({"data": "digits@test"}, "data-split-invalid"),
        ({"data": "nowhere"}, "data-missing"),
        ({"precision": "fp16"}, "precision-unavailable"),
        ({"download": True, "offline": True}, "config-invalid"),
        ({"device": "tpu"}, "device-unavailable"),
    ],
)
def test_nothing_is_written_for_what_is_refused(
    small_network: str, tmp_path: Path, settings: dict[str, Any], error_id: str
) -> None:
    with pytest.raises(TlvError) as caught:
        _train(small_network, tmp_path / "run", **settings)
    assert caught.value.error_id == error_id
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("name", "size"), [("alexnet", 32), ("inception_v3", 96), ("vit_b_16", 96)])
def test_an_image_size_that_the_network_does_not_take(tmp_path: Path, name: str, size: int) -> None:
    with pytest.raises(TlvError, match=f"{name} does not take images of {size} px") as caught:
        _train(name, tmp_path / "run", image_size=size)
    assert caught.value.error_id == "image-size-unsupported"
    assert not (tmp_path / "run").exists()


def test_faults_of_the_settings_are_told_together() -> None:
    with pytest.raises(TlvError) as caught:
        parse_config(TrainConfig, {"checkpoint": "a", "data": "b", "out": "c", "epochs": 0, "lr": -1, "batchsize": 3})
    for fault in ("unknown config key batchsize", "epochs: ", "lr: "):
        assert fault in caught.value.message
    assert caught.value.hint == "did you mean batch_size?"
    with pytest.raises(TlvError, match="warmup_epochs: 2 leaves nothing of 2 epochs"):
        parse_config(TrainConfig, {"checkpoint": "a", "data": "b", "out": "c", "epochs": 2, "warmup_epochs": 2})


@pytest.mark.parametrize(("name", "size", "weight"), [("googlenet", 64, 0.3), ("inception_v3", 299, 0.4)])
def test_auxiliary_heads_count_as_published(name: str, size: int, weight: float) -> None:
    module = build(Architecture(name=name, num_classes=3), seed=0).train()
    labels = torch.tensor([0, 2])
    with torch.no_grad():
        outputs = module(torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0)))
    auxiliary = [logits for logits in outputs[1:] if logits is not None]
    assert len(auxiliary) == (2 if name == "googlenet" else 1)
    expected = cross_entropy(outputs[0], labels) + weight * sum(cross_entropy(x, labels) for x in auxiliary)
    torch.testing.assert_close(training_loss(outputs, labels), expected)


def test_greyscale_networks_train(small_network: str, tmp_path: Path) -> None:
    from tlvcli.pipelines.transfer import TransferConfig
    from tlvcli.pipelines.transfer import run as transfer

    start = tmp_path / "start.safetensors"
    transfer(
        TransferConfig(
            source="squeezenet1_1@random",
            target_arch=small_network,
            out=str(start),
            method="he",
            num_classes=10,
            in_chans=1,
        )
    )
    report = run(TrainConfig(checkpoint=str(start), data="digits@train:100", out=str(tmp_path / "run"), epochs=1))
    assert (report.result.preprocessing.channels, report.result.preprocessing.mean) == (1, (0.3055,))


def test_a_damaged_image_is_named(small_network: str, tmp_path: Path) -> None:
    for class_name in ("ant", "bee"):
        folder = tmp_path / "photos" / class_name
        folder.mkdir(parents=True)
        for number in range(10):
            Image.new("RGB", (40, 40), (number, 0, 0)).save(folder / f"{number}.png")
    (tmp_path / "photos" / "bee" / "3.png").write_bytes(b"broken")
    with pytest.raises(TlvError, match=r"bee/3\.png"):
        _train(small_network, tmp_path / "run", data=str(tmp_path / "photos"), image_size=32, epochs=1)


@pytest.mark.data
@pytest.mark.slow
def test_squeezenet_on_hymenoptera(shared_data: Path, tmp_path: Path) -> None:
    import tarfile

    from tlvcli.pipelines.eval import EvalConfig
    from tlvcli.pipelines.eval import run as evaluate

    with tarfile.open(shared_data / "hymenoptera.tar") as archive:
        archive.extractall(tmp_path, filter="data")
    data = str(tmp_path / "hymenoptera")
    report = run(
        TrainConfig(
            checkpoint=str(shared_data / "checkpoints" / "squeezenet1_1-imagenet.pth"),
            arch="squeezenet1_1",
            data=data,
            out=str(tmp_path / "run"),
            epochs=5,
        )
    )
    measured = evaluate(EvalConfig(checkpoint=str(tmp_path / "run" / "best.safetensors"), data=data))
    assert measured.result.split == "val"
    assert measured.result.top1 == report.result.val_top1
    assert measured.result.top1 > 0.88

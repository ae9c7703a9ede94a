"""`eval` against a second computation of the same figures, and how classes are matched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn.functional import cross_entropy

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.core.report import Report
from tlvcli.data.datasets import open_dataset
from tlvcli.data.reference import parse_data_reference
from tlvcli.models.builders import build
from tlvcli.pipelines.eval import EvalConfig, EvalResult, run
from tlvcli.pipelines.saving import save_module

PREPROCESSING = Preprocessing(image_size=16, resize_size=20, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def _save(network: str, path: Path, class_names: tuple[str, ...] | None, *, num_classes: int | None = None) -> str:
    architecture = Architecture(name=network, num_classes=num_classes or len(class_names or ()))
    save_module(
        build(architecture, seed=0),
        path,
        architecture=architecture,
        made_by=MadeBy(command="train", method="full", tlv_version="0"),
        class_names=class_names,
        preprocessing=PREPROCESSING,
        force=False,
    )
    return str(path)


def _evaluate(checkpoint: str, data: str = "digits@test:200", **settings: Any) -> Report[EvalResult]:
    return run(EvalConfig(checkpoint=checkpoint, data=data, device="cpu", **settings))


def _write(folder: Path, class_names: tuple[str, ...], *, images: int = 2) -> str:
    noise = np.random.default_rng(0)
    for class_name in class_names:
        (folder / class_name).mkdir(parents=True)
        for number in range(images):
            pixels = noise.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / class_name / f"{number}.png")
    return str(folder)


def test_against_a_second_computation(small_network: str, tmp_path: Path) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors", tuple("0123456789"))
    result = _evaluate(checkpoint, "digits@test").result
    dataset = open_dataset(parse_data_reference("digits"), "test")
    module = build(Architecture(name=small_network, num_classes=10), seed=0).eval()
    pictures = []
    for position in range(len(dataset)):
        # 8 -> 20 px, then the middle 16.
        picture = dataset.read(position, channels=3).resize((20, 20), Image.Resampling.BILINEAR).crop((2, 2, 18, 18))
        pictures.append(np.asarray(picture))
    pixels = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).double() / 255
    mean, std = (torch.tensor(x).reshape(3, 1, 1) for x in (PREPROCESSING.mean, PREPROCESSING.std))
    with torch.no_grad():
        logits = module(((pixels - mean) / std).float())
    labels = torch.tensor(dataset.labels)
    order = logits.argsort(dim=1, descending=True)
    assert result.images == 359
    assert result.top1 == float((order[:, 0] == labels).double().mean())
    assert result.top5 == float((order[:, :5] == labels[:, None]).any(dim=1).double().mean())
    assert result.loss == pytest.approx(float(cross_entropy(logits.double(), labels)), abs=1e-5)
    assert result.preprocessing == PREPROCESSING


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 7}, {"workers": 2}])
def test_batches_and_workers_change_nothing(small_network: str, tmp_path: Path, settings: dict[str, int]) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors", tuple("0123456789"))
    usual, other = _evaluate(checkpoint).result, _evaluate(checkpoint, **settings).result
    assert (other.top1, other.top5) == (usual.top1, usual.top5)
    assert other.loss == pytest.approx(usual.loss, abs=1e-6)


def test_classes_are_matched_by_name(small_network: str, tmp_path: Path) -> None:
    names = tuple("0123456789")
    straight = _save(small_network, tmp_path / "straight.safetensors", names)
    module = build(Architecture(name=small_network, num_classes=10), seed=0)
    head = module[-1]
    with torch.no_grad():
        head.weight.copy_(head.weight.flip(0))
        head.bias.copy_(head.bias.flip(0))
    save_module(
        module,
        tmp_path / "reversed.safetensors",
        architecture=Architecture(name=small_network, num_classes=10),
        made_by=MadeBy(command="train", method="full", tlv_version="0"),
        class_names=names[::-1],
        preprocessing=PREPROCESSING,
        force=False,
    )
    first = _evaluate(straight).result
    second = _evaluate(str(tmp_path / "reversed.safetensors")).result
    assert (first.top1, first.top5, first.classes_matched_by) == (second.top1, second.top5, "name")
    assert first.loss == pytest.approx(second.loss, abs=1e-6)


def test_some_of_the_checkpoint_s_classes(small_network: str, tmp_path: Path) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors", ("ant", "bee", "fly"))
    report = _evaluate(checkpoint, _write(tmp_path / "photos", ("bee", "fly")))
    assert report.result.num_classes == 3
    assert any("2 of the checkpoint's 3 classes" in warning for warning in report.warnings)


def test_classes_that_do_not_match_are_named(small_network: str, tmp_path: Path) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors", ("ant", "bee"))
    with pytest.raises(TlvError, match="photos has wasp; the checkpoint knows only ant, bee") as caught:
        _evaluate(checkpoint, _write(tmp_path / "photos", ("ant", "wasp")))
    assert caught.value.error_id == "classes-mismatch"


def test_without_class_names_the_number_must_agree(small_network: str, tmp_path: Path) -> None:
    two = _save(small_network, tmp_path / "two.safetensors", None, num_classes=2)
    photos = _write(tmp_path / "photos", ("ant", "bee"))
    report = _evaluate(two, photos)
    assert report.result.classes_matched_by == "index"
    assert any("does not name its classes" in warning for warning in report.warnings)
    three = _save(small_network, tmp_path / "three.safetensors", None, num_classes=3)
    with pytest.raises(TlvError, match="the checkpoint has 3 classes, photos has 2"):
        _evaluate(three, photos)


def test_top5_is_null_below_six_classes(small_network: str, tmp_path: Path) -> None:
    for names, is_null in ((tuple("abcde"), True), (tuple("abcdef"), False)):
        folder = tmp_path / str(len(names))
        checkpoint = _save(small_network, tmp_path / f"{len(names)}.safetensors", names)
        assert (_evaluate(checkpoint, _write(folder, names)).result.top5 is None) == is_null


def test_which_split_was_taken_is_said(small_network: str, tmp_path: Path) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors", ("ant", "bee"))
    photos = tmp_path / "photos"
    _write(photos / "train", ("ant", "bee"))
    _write(photos / "val", ("ant", "bee"), images=3)
    report = _evaluate(checkpoint, str(photos))
    assert (report.result.split, report.result.images) == ("val", 6)
    assert report.warnings == [f"{photos} has no test split: evaluated on val"]
    assert _evaluate(checkpoint, f"{photos}@train").warnings == []


def test_usual_preprocessing_is_taken_and_said(small_network: str, tmp_path: Path) -> None:
    module = build(Architecture(name=small_network, num_classes=10), seed=0)
    torch.save(module.state_dict(), tmp_path / "net.pt")
    report = _evaluate(str(tmp_path / "net.pt"), "digits@test:20", arch=small_network)
    assert (report.result.preprocessing.image_size, report.result.preprocessing.mean[0]) == (32, 0.3055)
    assert any("does not say how its images were prepared" in warning for warning in report.warnings)
    smaller = _evaluate(str(tmp_path / "net.pt"), "digits@test:20", arch=small_network, image_size=16)
    assert smaller.result.preprocessing.image_size == 16


def test_half_precision_is_close_on_the_cpu_too(small_network: str, tmp_path: Path) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors", tuple("0123456789"))
    full, half = _evaluate(checkpoint).result, _evaluate(checkpoint, precision="bf16").result
    assert (full.precision, half.precision) == ("fp32", "bf16")
    assert half.loss == pytest.approx(full.loss, rel=1e-2)
    assert half.loss != full.loss


def test_weights_that_are_not_finite(small_network: str, tmp_path: Path) -> None:
    architecture = Architecture(name=small_network, num_classes=10)
    module = build(architecture, seed=0)
    with torch.no_grad():
        module[-1].bias[0] = float("nan")
    torch.save(module.state_dict(), tmp_path / "net.pt")
    with pytest.raises(TlvError) as caught:
        _evaluate(str(tmp_path / "net.pt"), "digits@test:20", arch=small_network)
    assert caught.value.error_id == "loss-not-finite"

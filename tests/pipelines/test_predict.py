"""`predict` against a second computation, and images that come in every way, broken ones among them."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.core.report import Report
from tlvcli.models.builders import build
from tlvcli.pipelines.predict import run
from tlvcli.pipelines.predicting.config import PredictConfig
from tlvcli.pipelines.predicting.labels import choose_labels
from tlvcli.pipelines.predicting.result import Prediction, PredictResult
from tlvcli.pipelines.saving import save_module

PREPROCESSING = Preprocessing(image_size=16, resize_size=20, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
NAMES = ("ant", "bee", "cat", "dog", "elk", "fly", "gnu")


@pytest.fixture
def network(small_network: str, tmp_path: Path) -> nn.Module:
    """The network of `checkpoint`, which it writes."""
    return _save(small_network, tmp_path / "net.safetensors", NAMES)


@pytest.fixture
def checkpoint(network: nn.Module, tmp_path: Path) -> str:
    return str(tmp_path / "net.safetensors")


@pytest.fixture
def photos(tmp_path: Path) -> list[str]:
    noise = np.random.default_rng(0)
    folder = tmp_path / "photos"
    for class_name in ("ant", "bee"):
        (folder / class_name).mkdir(parents=True)
        for number in range(4):
            pixels = noise.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / class_name / f"{number}.png")
    return [str(path) for path in sorted(folder.rglob("*.png"))]


def _save(name: str, path: Path, class_names: tuple[str, ...] | None, num_classes: int = len(NAMES)) -> nn.Module:
    architecture = Architecture(name=name, num_classes=num_classes)
    module = build(architecture, seed=0).eval()
    save_module(
        module,
        path,
        architecture=architecture,
        made_by=MadeBy(command="train", method="full", tlv_version="0"),
        class_names=class_names,
        preprocessing=PREPROCESSING,
        force=False,
    )
    return module


def _predict(checkpoint: str, *images: str, listed: bytes | None = None, **settings: Any) -> Report[PredictResult]:
    config = parse_config(PredictConfig, {"checkpoint": checkpoint, "images": images, "device": "cpu", **settings})
    return run(config, standard_input=None if listed is None else io.BytesIO(listed))


def _predictions(report: Report[PredictResult]) -> list[Prediction]:
    assert report.result.predictions is not None
    return report.result.predictions


def _prepared(paths: list[str]) -> torch.Tensor:
    """20 x 24 px are of the size already: the middle 16 of them, normalised."""
    pixels = np.stack([np.asarray(Image.open(path).crop((4, 2, 20, 18))) for path in paths])
    mean, std = (np.array(values).reshape(3, 1, 1) for values in (PREPROCESSING.mean, PREPROCESSING.std))
    return torch.from_numpy((pixels.transpose(0, 3, 1, 2) / 255 - mean) / std).float()


def test_against_a_second_computation(network: nn.Module, checkpoint: str, photos: list[str]) -> None:
    report = _predict(checkpoint, *photos, top=3, batch_size=3)
    with torch.no_grad():
        exponentials = np.exp(network(_prepared(photos)).double().numpy())
    probabilities = exponentials / exponentials.sum(1, keepdims=True)
    for row, path, prediction in zip(probabilities, photos, _predictions(report), strict=True):
        order = np.argsort(-row)[:3]
        assert prediction.path == path
        assert [one.index for one in prediction.top] == list(order)
        assert [one.label for one in prediction.top] == [NAMES[index] for index in order]
        assert [one.probability for one in prediction.top] == pytest.approx(list(row[order]), abs=1e-6)
        assert (prediction.label, prediction.probability) == (prediction.top[0].label, prediction.top[0].probability)
    counts = np.bincount(probabilities.argmax(1), minlength=len(NAMES))
    assert {one.index: one.images for one in report.result.classes} == {i: n for i, n in enumerate(counts) if n}
    assert [one.images for one in report.result.classes] == sorted(counts[counts > 0], reverse=True)


def test_it_agrees_with_eval(checkpoint: str, photos: list[str], tmp_path: Path) -> None:
    from tlvcli.pipelines.eval import EvalConfig
    from tlvcli.pipelines.eval import run as evaluate

    told = {"resize": 24, "mean": "0.5,0.4,0.3", "std": "0.3,0.3,0.2", "interpolation": "bicubic"}
    checked = {"checkpoint": checkpoint, "data": str(tmp_path / "photos"), "device": "cpu"}
    evaluate(parse_config(EvalConfig, {**checked, **told, "predictions": str(tmp_path / "eval.csv")}))
    _predict(checkpoint, str(tmp_path / "photos"), csv=str(tmp_path / "predict.csv"), top=5, batch_size=3, **told)
    texts = ((tmp_path / f"{name}.csv").read_text() for name in ("eval", "predict"))
    expected, found = (list(csv.DictReader(text.splitlines())) for text in texts)
    assert len(expected) == len(found) == 8
    for one, other in zip(expected, found, strict=True):
        assert (one["path"], one["prediction"]) == (other["path"], other["prediction"])
        assert float(one["probability"]) == pytest.approx(float(other["probability"]), abs=2e-6)
        top = [other["prediction"], *(other[f"prediction_{rank}"] for rank in range(2, 6))]
        assert one["top5"] == "|".join(top)
        assert other["error"] == ""


@pytest.mark.parametrize("settings", [{"batch_size": 1}, {"batch_size": 3, "workers": 2}])
def test_batches_and_workers_change_nothing(checkpoint: str, photos: list[str], settings: dict[str, int]) -> None:
    usual, other = (_predictions(_predict(checkpoint, *photos, **given)) for given in ({}, settings))
    assert [one.label for one in other] == [one.label for one in usual]
    probabilities = [one.probability for one in usual]
    assert [one.probability for one in other] == pytest.approx(probabilities, abs=1e-6)


def test_broken_images_hold_up_no_other(checkpoint: str, photos: list[str], tmp_path: Path) -> None:
    odd = os.fsencode(tmp_path) + b"/\xff.png"
    Path(photos[2]).write_bytes(Path(photos[2]).read_bytes()[:300])
    with open(odd, "wb") as stream:  # noqa: PTH123
        stream.write(Path(photos[0]).read_bytes())
    listed = b"\0".join([photos[0].encode(), b"gone.jpg", photos[2].encode(), odd, b""])
    report = _predict(checkpoint, "-", photos[3], listed=listed, null=True, batch_size=2)
    found = _predictions(report)
    shown = f"{tmp_path}/\ufffd.png"
    assert [one.path for one in found] == [photos[0], "gone.jpg", photos[2], shown, photos[3]]
    assert [one.error is None for one in found] == [True, False, False, True, True]
    assert (found[3].label, found[3].probability) == (found[0].label, pytest.approx(found[0].probability, abs=1e-6))
    assert found[1].error == "cannot read gone.jpg: it is missing"
    assert [one.path for one in report.result.unreadable] == ["gone.jpg", photos[2]]
    assert report.result.images == 5
    json.loads(report.to_json())


def test_lines_end_as_they_may(checkpoint: str, photos: list[str]) -> None:
    listed = f"{photos[1]}\r\n\n{photos[0]}".encode()
    assert [one.path for one in _predictions(_predict(checkpoint, "-", listed=listed))] == [photos[1], photos[0]]


def test_predictions_are_given_as_they_come(checkpoint: str, photos: list[str]) -> None:
    given: list[list[str]] = []
    config = PredictConfig(checkpoint=checkpoint, images=tuple(photos), device="cpu", batch_size=3, jsonl=True)
    report = run(config, each=lambda predictions: given.append([one.path for one in predictions]))
    assert given == [photos[:3], photos[3:6], photos[6:]]
    assert report.result.predictions is None
    assert sum(one.images for one in report.result.classes) == 8


def test_features_are_what_the_last_layer_gets(
    network: nn.Module, checkpoint: str, photos: list[str], tmp_path: Path
) -> None:
    Path(photos[5]).write_bytes(b"")
    out = tmp_path / "features.safetensors"
    report = _predict(checkpoint, str(tmp_path / "photos"), features=str(out), batch_size=3)
    good = [path for path in photos if path != photos[5]]
    tensors = load_file(out)
    with torch.no_grad():
        expected = network[:-1](_prepared(good))
    torch.testing.assert_close(tensors["features"], expected, atol=1e-5, rtol=1e-5)
    assert tensors["paths"].numpy().tobytes().decode().split("\0") == [*good, ""]
    written = report.result.features
    assert written is not None
    assert (written.images, written.dimensions, written.before) == (7, 128, "9")
    assert [one.path for one in report.result.unreadable] == [photos[5]]
    assert (report.result.predictions, report.result.classes) == (None, [])
    with safe_open(out, "pt") as opened:
        made = json.loads(opened.metadata()["tlv.features"])
    assert made["checkpoint"] == {"name": "net.safetensors", "sha256": report.inputs[0].sha256}
    assert made["preprocessing"]["image_size"] == 16
    assert report.outputs[0].path == str(out)


def test_features_need_no_classifier(checkpoint: str, network: nn.Module, photos: list[str], tmp_path: Path) -> None:
    from safetensors.torch import save_file

    state = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith("9.")}
    save_file(state, tmp_path / "backbone.safetensors")
    arch = f"{tmp_path / 'network.py'}:make"
    _predict(checkpoint, *photos, features=str(tmp_path / "a.safetensors"), image_size=16)
    # A file without metadata: its images are prepared as is usual, so not the numbers are the same, but their shape.
    report = _predict(
        str(tmp_path / "backbone.safetensors"),
        *photos,
        arch=arch,
        features=str(tmp_path / "b.safetensors"),
        image_size=16,
    )
    a, b = (load_file(tmp_path / f"{name}.safetensors") for name in "ab")
    assert a["features"].shape == b["features"].shape
    assert torch.equal(a["paths"], b["paths"])
    assert any("does not say how its images were prepared" in warning for warning in report.warnings)


def test_labels() -> None:
    assert choose_labels(("a", "b"), 2) == (("a", "b"), "checkpoint")
    assert choose_labels(None, 3) == (("0", "1", "2"), "index")
    assert choose_labels(("a", "b"), 3) == (("0", "1", "2"), "index")
    names, source = choose_labels(None, 1000)
    assert (source, names[309], names[310]) == ("imagenet", "bee", "ant")


@pytest.mark.parametrize(
    ("settings", "error_id"),
    [
        ({"features": "f.safetensors", "csv": "t.csv"}, "config-invalid"),
        ({"features": "f.safetensors", "top": 2}, "config-invalid"),
        ({"features": "f.pt"}, "output-not-safetensors"),
        ({"csv": "nowhere/t.csv"}, "output-folder-missing"),
        ({"images": ()}, "config-invalid"),
        ({"images": ("-", "-")}, "config-invalid"),
        ({"images": ("gone.jpg",)}, "image-missing"),
        ({"precision": "fp16"}, "precision-unavailable"),
    ],
)
def test_what_the_user_can_mend(
    checkpoint: str,
    photos: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    settings: dict[str, Any],
    error_id: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TlvError) as caught:
        _predict(checkpoint, **{"images": photos, **settings})  # type: ignore[arg-type]
    assert caught.value.error_id == error_id


def test_no_image_is_overwritten(checkpoint: str, photos: list[str]) -> None:
    content = Path(photos[0]).read_bytes()
    with pytest.raises(TlvError) as caught:
        _predict(checkpoint, *photos, csv=photos[0], force=True)
    assert caught.value.error_id == "output-is-input"
    assert Path(photos[0]).read_bytes() == content


def test_weights_that_are_broken(network: nn.Module, small_network: str, photos: list[str], tmp_path: Path) -> None:
    state = network.state_dict()
    state["9.bias"][2] = float("nan")
    torch.save(state, tmp_path / "nan.pt")
    for settings in ({}, {"features": str(tmp_path / "f.safetensors")}):
        if settings:
            state["9.bias"][2], state["0.weight"][:] = 0, float("inf")
            torch.save(state, tmp_path / "nan.pt")
        with pytest.raises(TlvError, match=f"gives NaN or infinity for {photos[0]}") as caught:
            _predict(str(tmp_path / "nan.pt"), *photos, arch=small_network, image_size=16, **settings)
        assert caught.value.error_id == "outputs-not-finite"
    assert not (tmp_path / "f.safetensors").exists()


def test_no_features_of_no_image(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(TlvError) as caught:
        _predict(checkpoint, "-", listed=b"gone.png", features=str(tmp_path / "f.safetensors"))
    assert caught.value.error_id == "images-unreadable"
    assert not (tmp_path / "f.safetensors").exists()


def test_it_is_one_process(checkpoint: str, photos: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2"), ("LOCAL_RANK", "1")):
        monkeypatch.setenv(name, value)
    with pytest.raises(TlvError) as caught:
        _predict(checkpoint, *photos)
    assert caught.value.error_id == "processes-unsupported"

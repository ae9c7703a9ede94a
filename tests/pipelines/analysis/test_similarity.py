"""Two networks on one data set: against a second computation, which layers, which images, what is written."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.models.builders import build
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.similarity import run_similarity, whole_batches
from tlvcli.pipelines.analysis.similarity_result import SimilaritySection
from tlvcli.pipelines.progress import Silence
from tlvcli.pipelines.saving import save_module

PREPROCESSING = Preprocessing(image_size=16, resize_size=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))


def _save(network: str, path: Path, *, seed: int = 0, preprocessing: Preprocessing = PREPROCESSING) -> str:
    architecture = Architecture(name=network, num_classes=10)
    save_module(
        build(architecture, seed=seed),
        path,
        architecture=architecture,
        made_by=MadeBy(command="train", method="full", tlv_version="0"),
        class_names=None,
        preprocessing=preprocessing,
        force=False,
    )
    return str(path)


def _compare(one: str, other: str, data: str = "digits@test:40", **settings: Any) -> Outcome[SimilaritySection]:
    config = AnalyzeStatsConfig(checkpoint=one, against=[other], data=data, device="cpu", **settings)
    return run_similarity(config, Silence())


@pytest.fixture
def pair(small_network: str, tmp_path: Path) -> tuple[str, str]:
    return (
        _save(small_network, tmp_path / "one.safetensors"),
        _save(small_network, tmp_path / "other.safetensors", seed=1),
    )


def _write(folder: Path, num_images: int) -> str:
    noise = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(num_images):
        Image.fromarray(noise.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(folder / f"{number:03}.png")
    return str(folder)


def test_matrix_against_a_second_computation(pair: tuple[str, str], small_network: str, tmp_path: Path) -> None:
    data = _write(tmp_path / "images", 9)
    section = _compare(*pair, data=data, at="pre", batch_size=4).section
    # Nine in batches of four would leave one over: five and four.
    assert section.batch_size == 5
    pixels = [Image.open(path).resize((16, 16), Image.Resampling.BILINEAR) for path in sorted(Path(data).iterdir())]
    images = torch.stack([torch.tensor(np.asarray(picture)) for picture in pixels]).permute(0, 3, 1, 2).double() / 255
    images = (images - torch.tensor(PREPROCESSING.mean).view(3, 1, 1)) / torch.tensor(PREPROCESSING.std).view(3, 1, 1)

    def features(seed: int) -> list[torch.Tensor]:
        module = build(Architecture(name=small_network, num_classes=10), seed=seed).double().eval()
        with torch.no_grad():
            return [module[:1](images), module[:4](images), module(images)]  # type: ignore[operator,index]

    def hsic(x: torch.Tensor, y: torch.Tensor) -> float:
        total = 0.0
        for begin, end in ((0, 5), (5, 9)):
            n = end - begin
            k, ell = (part[begin:end].flatten(1) @ part[begin:end].flatten(1).T for part in (x, y))
            k.fill_diagonal_(0)
            ell.fill_diagonal_(0)
            crossed = (k @ ell).trace() + k.sum() * ell.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k @ ell).sum()
            total += float(crossed) / (n * (n - 3))
        return total

    one, other = features(0), features(1)
    expected = [[hsic(x, y) / (hsic(x, x) * hsic(y, y)) ** 0.5 for y in other] for x in one]
    np.testing.assert_allclose(np.array(section.cka, dtype=float), expected, atol=1e-3)
    assert [layer.name for layer in section.networks[0].layers] == ["0", "3", "9"]
    for row, layer in zip(section.cka, section.networks[0].layers, strict=True):
        assert layer.best_cka == max(value for value in row if value is not None)
    assert [layer.same_cka for layer in section.networks[0].layers] == [section.cka[i][i] for i in range(3)]


def test_a_network_is_like_itself(pair: tuple[str, str]) -> None:
    section = _compare(pair[0], pair[0]).section
    assert [layer.same_cka for layer in section.networks[0].layers] == pytest.approx([1, 1, 1], abs=1e-6)
    assert [layer.best for layer in section.networks[1].layers] == ["0", "3", "9"]
    assert [layer.stage for layer in section.networks[0].layers] == ["activated", "activated", "output"]


def test_networks_of_different_kinds(pair: tuple[str, str]) -> None:
    section = _compare(pair[0], "resnet18@random", "digits@test:8", image_size=32, layers=["?", "layer?"]).section
    blocks = [layer.name for layer in section.networks[1].layers]
    assert blocks == ["layer1", "layer2", "layer3", "layer4"]
    # Every module of the small network has a name of one digit.
    assert [layer.name for layer in section.networks[0].layers] == [str(number) for number in range(10)]
    assert np.array(section.cka, dtype=float).shape == (10, 4)
    assert all(layer.same_cka is None for network in section.networks for layer in network.layers)


def test_each_network_gets_its_own_preprocessing(small_network: str, tmp_path: Path) -> None:
    other = Preprocessing(image_size=12, resize_size=12, mean=(0, 0, 0), std=(1, 1, 1))
    one = _save(small_network, tmp_path / "one.safetensors")
    two = _save(small_network, tmp_path / "two.safetensors", preprocessing=other)
    outcome = _compare(one, two)
    assert [network.preprocessing for network in outcome.section.networks] == [PREPROCESSING, other]
    assert any("16 px in 3 channels and 12 px in 3 channels" in warning for warning in outcome.warnings)
    # The same pictures in the same order: the first layers still see much the same.
    assert outcome.section.networks[0].layers[0].same_cka == pytest.approx(1, abs=0.1)


def test_outputs(pair: tuple[str, str], tmp_path: Path) -> None:
    table, plots = tmp_path / "pairs.csv", tmp_path / "plots"
    outcome = _compare(*pair, csv=str(table), plots=str(plots))
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["layer"], row["other"]) for row in rows[:4]] == [("0", "0"), ("0", "3"), ("0", "9"), ("3", "0")]
    assert [float(row["cka"]) for row in rows] == [value for row in outcome.section.cka for value in row]
    assert [Path(output.path).name for output in outcome.outputs] == ["pairs.csv", "similarity.png"]
    with Image.open(plots / "similarity.png") as picture:
        assert picture.width > 300
    with pytest.raises(TlvError, match="exists"):
        _compare(*pair, plots=str(plots))


def test_a_dead_layer_has_no_partner_and_is_named(small_network: str, tmp_path: Path, pair: tuple[str, str]) -> None:
    architecture = Architecture(name=small_network, num_classes=10)
    module = build(architecture, seed=0)
    with torch.no_grad():
        module[9].weight.zero_()  # type: ignore[operator,index,union-attr]
    made_by = MadeBy(command="train", method="full", tlv_version="0")
    dead = tmp_path / "dead.safetensors"
    save_module(
        module,
        dead,
        architecture=architecture,
        made_by=made_by,
        class_names=None,
        preprocessing=PREPROCESSING,
        force=False,
    )
    outcome = _compare(str(dead), pair[1])
    assert (outcome.section.networks[0].layers[2].best, outcome.section.cka[2]) == (None, [None, None, None])
    assert any("every image gives the same" in warning and warning.endswith(": 9") for warning in outcome.warnings)


def test_unreadable_images_are_skipped_and_named(pair: tuple[str, str], tmp_path: Path) -> None:
    data = _write(tmp_path / "images", 10)
    (tmp_path / "images" / "004.png").write_bytes(b"not a picture")
    with pytest.raises(TlvError) as raised:
        _compare(*pair, data=data)
    assert raised.value.error_id == "image-unreadable"
    outcome = _compare(*pair, data=data, skip_corrupt=True)
    assert (outcome.section.images, len(outcome.section.skipped)) == (9, 1)
    assert outcome.section.skipped[0].endswith("004.png")


@pytest.mark.parametrize(
    ("settings", "error_id"),
    [
        ({"layers": ["nothing*"]}, "layers-unknown"),
        ({"data": "digits@test:3"}, "too-few-images"),
    ],
)
def test_what_cannot_be_compared(pair: tuple[str, str], settings: dict[str, Any], error_id: str) -> None:
    with pytest.raises(TlvError) as raised:
        _compare(*pair, **settings)
    assert raised.value.error_id == error_id


@pytest.mark.parametrize(("num_images", "batch_size"), [(4, 64), (5, 4), (65, 64), (66, 64), (131, 64), (7, 1)])
def test_no_batch_is_too_small(num_images: int, batch_size: int) -> None:
    size = whole_batches(num_images, batch_size)
    assert size >= batch_size
    assert num_images % size == 0 or num_images % size >= 4 or size >= num_images

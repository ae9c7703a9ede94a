"""Checkpoints ranked for labelled images: what the scores see, ranks, and what is refused."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.data.datasets import open_dataset
from tlvcli.data.loading import evaluation_batches
from tlvcli.data.reference import parse_data_reference
from tlvcli.methods.scores.table import SCORES, find_score
from tlvcli.models.builders import build
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.scores import run_scores
from tlvcli.pipelines.analysis.scores_result import ScoresSection, ranks_of
from tlvcli.pipelines.progress import Silence
from tlvcli.pipelines.saving import save_module

PREPROCESSING = Preprocessing(image_size=16, resize_size=16, mean=(0.5,) * 3, std=(0.5,) * 3)
ALL = [score.name for score in SCORES]


def _build(network: str, *, num_classes: int = 7, seed: int = 0) -> nn.Module:
    return build(Architecture(name=network, num_classes=num_classes), seed=seed)


def _save(network: str, path: Path, *, module: nn.Module | None = None, command: str = "train") -> str:
    save_module(
        module or _build(network),
        path,
        architecture=Architecture(name=network, num_classes=7),
        made_by=MadeBy(command=command, method="full", tlv_version="0"),
        class_names=None,
        preprocessing=PREPROCESSING,
        force=False,
    )
    return str(path)


def _score(
    checkpoint: str, *against: str, score: list[str], data: str = "digits@test", **more: Any
) -> Outcome[ScoresSection]:
    config = AnalyzeStatsConfig(
        checkpoint=checkpoint, against=list(against), score=score, data=data, device="cpu", **more
    )
    return run_scores(config, Silence())


def _images() -> tuple[Tensor, Tensor]:
    dataset = open_dataset(parse_data_reference("digits"), "test")
    batches = evaluation_batches(dataset, PREPROCESSING, batch_size=1000, workers=0, device=torch.device("cpu"))
    (batch,) = batches
    return batch.images, batch.labels


def test_scores_of_stored_features(small_network: str, tmp_path: Path) -> None:
    outcome = _score(_save(small_network, tmp_path / "net.safetensors"), score=ALL)
    module = _build(small_network).eval()
    images, labels = _images()
    with torch.no_grad():
        features = module[:9](images).double()  # type: ignore[operator,index]
        probabilities = module(images).double().softmax(dim=1)
    (scored,) = outcome.section.checkpoints
    assert (scored.features_before, scored.dimensions, scored.bytes) == ("9", 128, len(labels) * 128 * 4)
    for name in ALL:
        score = find_score(name)
        expected = score.load_function()(features if score.needs == "features" else probabilities, labels)
        assert scored.scores[name] == pytest.approx(expected, rel=1e-4), name
    assert set(scored.ranks.values()) == {1}


def test_the_network_with_more_to_say_ranks_first(small_network: str, tmp_path: Path) -> None:
    blind = _build(small_network)
    with torch.no_grad():
        blind[3].weight[1:] = 0  # type: ignore[operator,index,union-attr]
    one = _save(small_network, tmp_path / "blind.safetensors", module=blind)
    other = _save(small_network, tmp_path / "seeing.safetensors")
    section = _score(one, other, score=["logme", "hscore"]).section
    assert [scored.ranks for scored in section.checkpoints] == [{"logme": 2, "hscore": 2}, {"logme": 1, "hscore": 1}]


def test_equal_scores_share_a_rank() -> None:
    assert ranks_of([{"a": 1.0}, {"a": 3.0}, {"a": 3.0 + 1e-12}]) == [{"a": 3}, {"a": 1}, {"a": 1}]


def test_table_has_a_row_for_each_checkpoint(small_network: str, tmp_path: Path) -> None:
    table = tmp_path / "scores.csv"
    checkpoint = _save(small_network, tmp_path / "net.safetensors")
    outcome = _score(checkpoint, checkpoint, score=["nce", "nce", "leep"], csv=str(table))
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["checkpoint"] for row in rows] == [checkpoint, checkpoint]
    assert float(rows[0]["leep"]) == outcome.section.checkpoints[0].scores["leep"]
    assert [row["nce rank"] for row in rows] == ["1", "1"]


def test_a_file_without_its_classifier_has_features_but_no_old_classes(tmp_path: Path) -> None:
    module = build(Architecture(name="mobilenet_v3_small", num_classes=12), seed=0)
    torch.save(
        {name: tensor for name, tensor in module.state_dict().items() if not name.startswith("classifier.3")},
        tmp_path / "net.pt",
    )
    checkpoint = str(tmp_path / "net.pt")
    settings: dict[str, Any] = {"arch": "mobilenet_v3_small", "data": "digits@test:40", "image_size": 32}
    with pytest.raises(TlvError, match="leep needs the probabilities of the old classes") as raised:
        _score(checkpoint, score=["logme", "leep"], **settings)
    assert raised.value.error_id == "classifier-missing"
    outcome = _score(checkpoint, score=["logme"], **settings)
    assert outcome.section.checkpoints[0].features_before == "classifier.3"
    assert any("has no classifier" in warning for warning in outcome.warnings)


def test_outputs_that_are_no_classes_are_the_features(tmp_path: Path) -> None:
    code = "from torch import nn\n\n\ndef make(num_classes, in_chans=3):\n    return nn.Conv2d(in_chans, 5, 3)\n"
    (tmp_path / "plain.py").write_text(code)
    network = f"{tmp_path / 'plain.py'}:make"
    checkpoint = _save(network, tmp_path / "net.safetensors")
    (scored,) = _score(checkpoint, score=["logme"], data="digits@test:60").section.checkpoints
    assert (scored.features_before, scored.dimensions) == (None, 5)
    with pytest.raises(TlvError) as raised:
        _score(checkpoint, score=["nce"], data="digits@test:60")
    assert raised.value.error_id == "classifier-missing"


def test_what_makes_a_score_doubtful_is_said(small_network: str, tmp_path: Path) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors", command="transfer")
    warnings = _score(checkpoint, score=["leep", "hscore"], data="digits@test:60").warnings
    assert any("its classifier may be random in part" in warning for warning in warnings)
    assert any("60 images for 128 dimensions" in warning for warning in warnings)


@pytest.mark.parametrize(
    ("settings", "error_id"),
    [
        ({"checkpoint": "resnet18@random", "score": ["leep"]}, "classifier-random"),
        ({"score": ["leeep"]}, "score-unknown"),
        ({"score": ["logme"], "data": "digits@test:5"}, "data-class-empty"),
    ],
)
def test_what_cannot_be_scored(small_network: str, tmp_path: Path, settings: dict[str, Any], error_id: str) -> None:
    checkpoint = _save(small_network, tmp_path / "net.safetensors")
    with pytest.raises(TlvError) as raised:
        _score(**{"checkpoint": checkpoint, "image_size": 32, **settings})
    assert raised.value.error_id == error_id


@pytest.mark.parametrize(("value", "error_id"), [(0.0, "features-constant"), (float("nan"), "activations-not-finite")])
def test_useless_features(small_network: str, tmp_path: Path, value: float, error_id: str) -> None:
    broken = _build(small_network)
    with torch.no_grad():
        broken[3].weight.fill_(value)  # type: ignore[operator,index,union-attr]
    with pytest.raises(TlvError) as raised:
        _score(_save(small_network, tmp_path / "net.safetensors", module=broken), score=["logme"])
    assert raised.value.error_id == error_id

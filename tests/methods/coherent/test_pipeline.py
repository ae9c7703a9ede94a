"""coherent from file to file: rates in the checkpoint, plans that are replayed, edited and checked."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, Provenance
from tlvcli.models.builders import build
from tlvcli.pipelines.transfer import TransferConfig, run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "squeezenet.pt"
    torch.save(build(Architecture(name="squeezenet1_1", num_classes=7), seed=5).state_dict(), path)
    return path


def _transfer(source: Path, out: Path, **settings: Any) -> Path:
    run(TransferConfig(source=str(source), target_arch="resnet18", out=str(out), method="coherent", **settings))
    return out


def _rates(path: Path) -> Any:
    with safe_open(path, "pt") as file:
        return Provenance.model_validate_json(file.metadata()["tlv"]).recommended_rates


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    return _transfer(source, folder / "out.safetensors", save_plan=str(folder / "plan.yaml"))


def _edited(made: Path, folder: Path, tensor: str, **changes: object) -> Path:
    content = yaml.safe_load(made.with_name("plan.yaml").read_text())
    next(row for row in content["rows"] if row["tensor"] == tensor).update(changes)
    (folder / "plan.safetensors").write_bytes(made.with_name("plan.safetensors").read_bytes())
    (folder / "plan.yaml").write_text(yaml.safe_dump(content))
    return folder / "plan.yaml"


def test_a_replay_gives_the_same_bytes_and_the_same_rates(source: Path, made: Path, tmp_path: Path) -> None:
    again = _transfer(source, tmp_path / "again.safetensors", plan=str(made.with_name("plan.yaml")))
    assert _sha256(again) == _sha256(made)
    assert _rates(again) == _rates(made)
    assert _rates(made).items() > {"conv1": 0.3, "layer1.0.conv1": 2.8}.items()
    assert made.with_name("plan.safetensors").stat().st_size < 200_000  # index maps, not kernels


def test_a_stem_that_is_left_alone_is_not_protected(source: Path, tmp_path: Path) -> None:
    assert "conv1" not in _rates(_transfer(source, tmp_path / "own.safetensors", skip=["conv1"]))
    options = {"mapping": {"stem_rate": 0.1, "rates": "one"}}
    assert _rates(_transfer(source, tmp_path / "slow.safetensors", **options)) == {"conv1": 0.1}
    assert _rates(_transfer(source, tmp_path / "none.safetensors", skip=["conv1"], **options)) is None


def test_an_edited_row_changes_its_tensor_only(source: Path, made: Path, tmp_path: Path) -> None:
    name = "layer2.1.conv1.weight"
    rows = yaml.safe_load(made.with_name("plan.yaml").read_text())["rows"]
    parameters = next(row for row in rows if row["tensor"] == name)["parameters"] | {"noise": 0.0}
    plan = _edited(made, tmp_path, name, parameters=parameters)
    before, after = load_file(made), load_file(_transfer(source, tmp_path / "out.safetensors", plan=str(plan)))
    assert [key for key in before if not torch.equal(before[key], after[key])] == [name]


@pytest.mark.parametrize(
    ("tensor", "parameters", "words"),
    [
        ("layer1.0.conv1.weight", {"steps": "no.weight", "epsilon": 0.0, "loop": 0}, "the source has no no.weight"),
        ("layer1.0.conv1.weight", {"steps": "features.12.squeeze.weight"}, "does not connect 64x512x1x1"),
        ("layer1.0.conv1.weight", {}, "needs the number epsilon"),
        ("layer1.0.conv2.weight", {"noise": "much", "seed": 1}, "dirac needs the number noise"),
    ],
)
def test_a_plan_that_does_not_fit_names_the_row(
    source: Path, made: Path, tmp_path: Path, tensor: str, parameters: dict[str, object], words: str
) -> None:
    plan = _edited(made, tmp_path, tensor, parameters=parameters)
    with pytest.raises(TlvError, match=words) as caught:
        _transfer(source, tmp_path / "out.safetensors", plan=str(plan))
    assert caught.value.error_id == "plan-mismatch"
    assert tensor in caught.value.message


def test_nan_in_any_layer_of_a_collapsed_block_is_refused(source: Path, tmp_path: Path) -> None:
    state = torch.load(source)
    state["features.6.squeeze.weight"][0, 0] = float("nan")
    torch.save(state, tmp_path / "broken.pt")
    with pytest.raises(TlvError, match=r"NaN or Inf in features\.6\.squeeze\.weight"):
        _transfer(tmp_path / "broken.pt", tmp_path / "out.safetensors")

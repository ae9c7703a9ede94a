"""Plans on disk: a replay gives the same bytes, an edited row changes its tensor, a misfit names its rows."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Report
from tlvcli.io.plan_files import read_plan
from tlvcli.models.builders import build
from tlvcli.pipelines.inspect import InspectConfig
from tlvcli.pipelines.inspect import run as inspect
from tlvcli.pipelines.transfer import TransferConfig, TransferResult, run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "squeezenet.pt"
    torch.save(build(Architecture(name="squeezenet1_1", num_classes=7), seed=5).state_dict(), path)
    return path


def transfer(source: Path, out: Path | None, **settings: Any) -> Report[TransferResult]:
    settings = {"target_arch": "squeezenet1_0", "method": "tlv", **settings}
    return run(TransferConfig(source=str(source), out=str(out) if out else None, **settings))


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def edit(plan: Path, tensor: str, /, **changes: object) -> None:
    content = yaml.safe_load(plan.read_text())
    row = next(row for row in content["rows"] if row["tensor"] == tensor)
    row.update(changes)
    plan.write_text(yaml.safe_dump(content))


@pytest.fixture
def saved(source: Path, tmp_path: Path) -> Path:
    plan = tmp_path / "plan.yaml"
    transfer(source, None, dry_run=True, save_plan=str(plan))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.safetensors", "plan.yaml"]
    return plan


@pytest.mark.parametrize("method", ["tlv", "tlv-reference", "dpiat", "dpiat-reference", "he"])
def test_a_replay_gives_the_same_bytes(source: Path, tmp_path: Path, method: str) -> None:
    settings = {"num_classes": 4, "seed": 3}
    if method == "tlv-reference":  # which needs linear layers on both sides, or on none
        settings["target_arch"] = "squeezenet1_0"
    plan, first, again = tmp_path / "plan.yaml", tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    made = transfer(source, first, method=method, save_plan=str(plan), **settings)
    replayed = transfer(source, again, plan=str(plan))
    assert sha256(first) == sha256(again)
    assert replayed.result == made.result
    assert replayed.warnings == []


def test_an_edited_row_changes_its_tensor_alone(source: Path, saved: Path, tmp_path: Path) -> None:
    before, after = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    transfer(source, before)
    edit(saved, "features.0.weight", operation="constant", parameters={"value": 0.5})
    report = transfer(source, after, plan=str(saved))
    old, new = load_file(before), load_file(after)
    assert [name for name in old if not torch.equal(old[name], new[name])] == ["features.0.weight"]
    assert (new["features.0.weight"] == 0.5).all()
    row = next(row for row in report.result.rows if row.tensor == "features.0.weight")
    assert (row.source, row.transferred) == (None, 0.0)
    assert report.result.method == "tlv, plan edited"


@pytest.mark.parametrize(
    ("tensor", "changes", "words"),
    [
        ("features.0.bias", {"shape": [3]}, "features.0.bias is 96, its row says 3"),
        (
            "features.0.bias",
            {"tensor": "features.0.bios"},
            "the target has no features.0.bios; features.0.bias has no row",
        ),
        ("features.0.bias", {"source": "stem.bias"}, "features.0.bias: the source has no stem.bias"),
        ("features.0.bias", {"operation": "normal"}, "features.0.bias: normal needs the number mean"),
        (
            "features.0.weight",
            {"operation": "copy"},
            "features.0.weight: features.0.weight is 64x3x3x3, which cannot be copied into 96x3x7x7",
        ),
        ("features.3.squeeze.weight", {"source": "features.0.bias"}, "of another number of dimensions"),
        (
            "features.3.squeeze.weight",
            {"operation": "kernels", "source": "features.0.weight"},
            "inputs names number|inputs",
        ),
    ],
)
def test_a_plan_that_does_not_fit_names_its_rows(
    source: Path, saved: Path, tmp_path: Path, tensor: str, changes: dict[str, object], words: str
) -> None:
    edit(saved, tensor, **changes)
    with pytest.raises(TlvError, match=words) as caught:
        transfer(source, tmp_path / "out.safetensors", plan=str(saved))
    assert caught.value.error_id == "plan-mismatch"
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("text", "error_id", "words"),
    [
        ("rows: []", "plan-unreadable", "is no plan"),
        ("schema: tlv.plan/9", "plan-version", "has the schema tlv.plan/9; this tlv reads tlv.plan/1"),
        ("schema: [", "plan-unreadable", "is not YAML, line 2"),
        ("schema: tlv.plan/1\na: &a [1]\nb: *a", "plan-unreadable", "uses YAML aliases"),
        ("schema: tlv.plan/1\nrows: []", "plan-invalid", "method: field required"),
        ("schema: tlv.plan/1\nrows: [{tensor: a.b, operation: melt}]", "plan-invalid", r"row 1 \(a.b\): operation"),
    ],
)
def test_what_is_no_plan(source: Path, tmp_path: Path, text: str, error_id: str, words: str) -> None:
    plan = tmp_path / "plan.yaml"
    plan.write_text(text)
    with pytest.raises(TlvError, match=words) as caught:
        transfer(source, None, dry_run=True, plan=str(plan))
    assert caught.value.error_id == error_id


def test_a_plan_for_something_else(source: Path, saved: Path, tmp_path: Path) -> None:
    with pytest.raises(TlvError, match="is for squeezenet1_0, not resnet18"):
        transfer(source, None, dry_run=True, plan=str(saved), target_arch="resnet18")
    with pytest.raises(TlvError, match="made with seed 0, not 8"):
        transfer(source, None, dry_run=True, plan=str(saved), seed=8)
    other = tmp_path / "other.pt"
    torch.save(build(Architecture(name="squeezenet1_1", num_classes=7), seed=6).state_dict(), other)
    warnings = transfer(other, None, dry_run=True, plan=str(saved)).warnings
    assert "was made from squeezenet.pt" in warnings[0]
    with pytest.raises(TlvError, match=r"names its arrays \.\./x"):
        content = yaml.safe_load(saved.read_text()) | {"arrays": "../x"}
        saved.write_text(yaml.safe_dump(content))
        read_plan(saved)


def test_inspect_says_what_a_plan_is(saved: Path) -> None:
    plan = inspect(InspectConfig(checkpoint=str(saved))).result.plan
    assert plan is not None
    assert (plan.method, plan.target.name, plan.is_edited) == ("tlv", "squeezenet1_0", False)
    assert sum(plan.num_rows.values()) == 52
    arrays = inspect(InspectConfig(checkpoint=str(saved.with_suffix(".safetensors")))).result
    assert arrays.kind == "plan-arrays"
    edit(saved, "features.0.weight", operation="keep")
    plan = inspect(InspectConfig(checkpoint=str(saved))).result.plan
    assert plan is not None
    assert plan.is_edited


def test_only_and_skip_narrow_the_plan(source: Path, tmp_path: Path) -> None:
    whole, part = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    transfer(source, whole)
    report = transfer(source, part, only=["features.1*", "classifier"], skip=["features.12", "*.bias"])
    written = {row.tensor for row in report.result.rows if row.operation != "keep"}
    assert written
    layers = ("features.10", "features.11", "classifier")
    assert all(name.endswith(".weight") and name.startswith(layers) for name in written)
    reasons = {row.tensor: row.reason for row in report.result.rows}
    assert reasons["features.12.squeeze.weight"] == "left alone by --skip features.12"
    assert reasons["features.0.weight"] == "left alone by --only features.1* classifier"
    old, new = load_file(whole), load_file(part)
    fresh = build(Architecture(name="squeezenet1_0", num_classes=7), seed=0).state_dict()
    for name in old:
        assert torch.equal(new[name], old[name] if name in written else fresh[name]), name
    with pytest.raises(TlvError, match="no layer is called feature"):
        transfer(source, None, dry_run=True, skip=["feature"])


def test_coverage_is_a_gate(source: Path) -> None:
    for least, met in ((0.05, True), (0.9999, False)):
        (gate,) = transfer(source, None, dry_run=True, min_coverage=least).gates
        assert (gate.flag, gate.met) == (f"--min-coverage {least:g}", met)


def test_a_source_that_is_not_finite(source: Path, tmp_path: Path) -> None:
    state = torch.load(source)
    state["features.3.squeeze.weight"][1, 2] = torch.nan
    torch.save(state, tmp_path / "broken.pt")
    with pytest.raises(TlvError, match=r"holds NaN or Inf in features\.3\.squeeze\.weight") as caught:
        transfer(tmp_path / "broken.pt", tmp_path / "out.safetensors")
    assert caught.value.error_id == "source-not-finite"
    assert not (tmp_path / "out.safetensors").exists()
    transfer(tmp_path / "broken.pt", tmp_path / "out.safetensors", allow_nan=True)
    transfer(tmp_path / "broken.pt", None, dry_run=True, skip=["features.3.squeeze"])


def test_shards_in_and_out(source: Path, tmp_path: Path) -> None:
    whole, split, again = (tmp_path / name for name in ("a.safetensors", "b.safetensors", "c.safetensors"))
    transfer(source, whole)
    report = transfer(source, split, shard_size="1MB")
    index = tmp_path / "b.safetensors.index.json"
    assert report.outputs[0].path == str(index)
    assert len(report.outputs) > 4
    shards = sorted(tmp_path.glob("b-*.safetensors"))
    tensors = {name: tensor for shard in shards for name, tensor in load_file(shard).items()}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in load_file(whole).items())
    transfer(index, again, target_arch="squeezenet1_1")
    direct = tmp_path / "d.safetensors"
    transfer(whole, direct, target_arch="squeezenet1_1")
    one, other = load_file(again), load_file(direct)
    assert all(torch.equal(one[name], other[name]) for name in one)

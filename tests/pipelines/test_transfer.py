"""`transfer` end to end on files: what it writes, what it says, and that it repeats."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision.models import get_model

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Report
from tlvcli.models.builders import build
from tlvcli.pipelines.transfer import TransferConfig, TransferResult, run


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A squeezenet saved as people save it: a plain state_dict."""
    path = tmp_path_factory.mktemp("source") / "squeezenet.pt"
    torch.save(build(Architecture(name="squeezenet1_1", num_classes=7), seed=5).state_dict(), path)
    return path


def _transfer(source: Path, out: Path, **settings: object) -> Report[TransferResult]:
    return run(TransferConfig(source=str(source), target_arch="mobilenet_v2", out=str(out), **settings))


def test_plain_pytorch_loads_what_was_written(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    report = _transfer(source, out, num_classes=3)
    module = get_model("mobilenet_v2", num_classes=3)
    module.load_state_dict(load_file(out), strict=True)
    module.eval()
    assert torch.isfinite(module(torch.randn(2, 3, 64, 64))).all()
    assert [row.tensor for row in report.result.rows] == list(module.state_dict())
    assert report.outputs[0].sha256 == hashlib.sha256(out.read_bytes()).hexdigest()
    assert report.inputs[0].sha256 == hashlib.sha256(source.read_bytes()).hexdigest()
    assert json.loads((tmp_path / "out.report.json").read_text()) == json.loads(report.to_json())


def test_coverage_is_what_the_rows_say(source: Path, tmp_path: Path) -> None:
    report = _transfer(source, tmp_path / "out.safetensors", num_classes=3)
    module = get_model("mobilenet_v2", num_classes=3)
    rows = {row.tensor: row.transferred for row in report.result.rows}
    taken = sum(parameter.numel() * rows[name] for name, parameter in module.named_parameters())
    assert report.result.coverage == pytest.approx(taken / sum(p.numel() for p in module.parameters()))
    assert 0.05 < report.result.coverage < 1


def test_the_file_says_where_it_comes_from(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    report = _transfer(source, out, num_classes=3)
    with safe_open(out, framework="pt") as file:
        said = json.loads(file.metadata()["tlv"])
    assert said["architecture"] == {"name": "mobilenet_v2", "num_classes": 3, "in_chans": 3}
    assert said["made_by"]["method"] == "coherent"
    assert said["made_by"]["made_from"] == [{"name": source.name, "sha256": report.inputs[0].sha256}]
    assert said["tensor_order"] == [row.tensor for row in report.result.rows]
    assert str(tmp_path) not in json.dumps(said)
    chained = run(TransferConfig(source=str(out), target_arch="squeezenet1_1", out=str(tmp_path / "back.safetensors")))
    with safe_open(tmp_path / "back.safetensors", framework="pt") as file:
        parent = json.loads(file.metadata()["tlv"])["made_by"]["made_from"][0]
    assert parent["sha256"] == report.outputs[0].sha256
    assert parent["made_by"]["made_from"][0]["sha256"] == report.inputs[0].sha256
    assert chained.inputs[0].order == "metadata"
    assert chained.result.architecture.num_classes == 3


def test_one_seed_one_file(source: Path, tmp_path: Path) -> None:
    digests = [
        _transfer(source, tmp_path / f"{number}.safetensors", seed=seed).outputs[0].sha256
        for number, seed in enumerate((3, 3, 4))
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("method", ["tlv", "he"])
def test_pt_and_safetensors_of_one_model_agree(source: Path, tmp_path: Path, method: str) -> None:
    other = tmp_path / "source.safetensors"
    save_file(torch.load(source, weights_only=True), other)
    reports = [
        _transfer(path, tmp_path / f"{path.suffix[1:]}.out.safetensors", method=method) for path in (source, other)
    ]
    outputs = [load_file(report.outputs[0].path) for report in reports]
    assert all(torch.equal(outputs[0][name], outputs[1][name]) for name in outputs[0])
    assert [row.model_dump() for row in reports[0].result.rows] == [row.model_dump() for row in reports[1].result.rows]
    assert reports[1].inputs[0].order == "architecture squeezenet1_1"


def test_a_foreign_state_dict_needs_no_architecture(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tensors = {"module.stem.weight": torch.randn(16, 3, 3, 3), "module.out.weight": torch.randn(5, 16)}
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "foreign.th")
    report = _transfer(tmp_path / "foreign.th", tmp_path / "out.safetensors")
    assert report.inputs[0].key == "state_dict"
    assert report.result.architecture.num_classes == 5
    assert any(row.source == "stem.weight" for row in report.result.rows)


def test_a_target_checkpoint_is_the_start(source: Path, tmp_path: Path) -> None:
    start = tmp_path / "start.safetensors"
    save_file(build(Architecture(name="mobilenet_v2", num_classes=4), seed=9).state_dict(), start)
    report = _transfer(source, tmp_path / "out.safetensors", target_checkpoint=str(start))
    before, after = load_file(start), load_file(tmp_path / "out.safetensors")
    kept = [row.tensor for row in report.result.rows if row.operation == "keep"]
    assert len(kept) > 200
    assert all(torch.equal(before[name], after[name]) for name in kept)
    assert report.result.architecture.num_classes == 4
    assert [entry.role for entry in report.inputs] == ["source", "target"]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float8_e4m3fn"])
def test_the_sources_dtype_stays_unless_another_is_asked_for(source: Path, tmp_path: Path, dtype: str) -> None:
    low = {name: tensor.to(getattr(torch, dtype)) for name, tensor in torch.load(source, weights_only=True).items()}
    torch.save(low, tmp_path / "low.pt")
    kept = _transfer(tmp_path / "low.pt", tmp_path / "kept.safetensors")
    wide = _transfer(tmp_path / "low.pt", tmp_path / "wide.safetensors", dtype="float32")
    assert (kept.result.dtype, wide.result.dtype) == (dtype, "float32")
    kept_tensors, wide_tensors = (load_file(report.outputs[0].path) for report in (kept, wide))
    assert kept_tensors["features.0.0.weight"].dtype == getattr(torch, dtype)
    assert kept_tensors["features.0.1.num_batches_tracked"].dtype == torch.int64
    for name, tensor in wide_tensors.items():
        assert torch.equal(tensor.to(kept_tensors[name].dtype).float(), kept_tensors[name].float())
    get_model("mobilenet_v2", num_classes=7).load_state_dict(kept_tensors, strict=True)


def test_a_dry_run_writes_nothing(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    report = _transfer(source, out, dry_run=True)
    assert report.outputs == []
    assert list(tmp_path.iterdir()) == []
    assert report.result.rows == _transfer(source, out).result.rows


def test_the_reports_config_repeats_the_run(source: Path, tmp_path: Path) -> None:
    first = _transfer(
        source, tmp_path / "out.safetensors", seed=2, method="tlv", mapping={"keep": "random", "fan-in": "per-filter"}
    )
    again = run(TransferConfig(**{**first.config, "force": True}))
    assert again.outputs == first.outputs
    assert first.config["mapping"]["fan_in"] == "per-filter"


def _fails(error_id: str, source: Path | str, out: Path, **settings: object) -> TlvError:
    before = sorted(out.parent.iterdir()), out.read_bytes() if out.is_file() else None
    with pytest.raises(TlvError) as caught:
        run(TransferConfig(**{"source": str(source), "target_arch": "resnet18", "out": str(out), **settings}))
    assert caught.value.error_id == error_id
    assert caught.value.hint
    assert (sorted(out.parent.iterdir()), out.read_bytes() if out.is_file() else None) == before
    return caught.value


def test_bad_input_leaves_nothing_behind(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    assert "did you mean" in _fails("architecture-unknown", source, out, target_arch="resnet81").hint
    assert "did you mean tlv" in _fails("method-unknown", source, out, method="tvl").hint
    assert "mapping.keep" in _fails("config-invalid", source, out, method="tlv", mapping={"keeep": "random"}).hint
    assert "interleaved" in _fails("config-invalid", source, out, method="tlv", mapping={"keep": "best"}).message
    _fails("checkpoint-missing", tmp_path / "absent.pt", out)
    _fails("checkpoint-missing", "resnet18", out)
    assert "out.safetensors" in _fails("output-not-safetensors", source, tmp_path / "out.pt").hint
    _fails("config-invalid", source, out, report=str(out))
    _fails("reference-undefined", f"{source}", out, method="tlv-reference", target_arch="inception_v3")
    out.write_bytes(b"precious")
    assert "--force" in _fails("output-exists", source, out).hint


def test_output_may_not_be_an_input(source: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.pt"
    copy.write_bytes(source.read_bytes())
    (tmp_path / "link.pt").symlink_to(copy)
    _fails("output-is-input", copy, copy, force=True)
    _fails("output-is-input", tmp_path / "link.pt", copy, force=True)
    _fails("output-is-input", copy, tmp_path / "out.safetensors", report=str(copy), force=True)


def test_a_missing_folder(source: Path, tmp_path: Path) -> None:
    with pytest.raises(TlvError, match="not a folder"):
        _transfer(source, tmp_path / "absent" / "out.safetensors")


@pytest.mark.data
@pytest.mark.parametrize("name", ["squeezenet1_1-imagenet.pth", "akamaster_resnet56-4bfd9763.th"])
def test_real_checkpoints(shared_data: Path, tmp_path: Path, name: str) -> None:
    outputs = [tmp_path / "one.safetensors", tmp_path / "two.safetensors"]
    for out in outputs:
        settings = {"target_arch": "resnet18", "num_classes": 10, "out": str(out)}
        run(TransferConfig(source=str(shared_data / "checkpoints" / name), **settings))
    assert outputs[0].read_bytes() == outputs[1].read_bytes()
    module = get_model("resnet18", num_classes=10)
    module.load_state_dict(load_file(outputs[0]), strict=True)
    assert torch.isfinite(module.eval()(torch.randn(2, 3, 64, 64))).all()


def test_a_source_from_before_the_counters_of_batches_is_its_architecture_all_the_same(tmp_path: Path) -> None:
    state = build(Architecture(name="resnet18", num_classes=4), seed=1).state_dict()
    torch.save({name: tensor for name, tensor in state.items() if "tracked" not in name}, tmp_path / "old.pt")
    settings = {"target_arch": "resnet18", "source_arch": "resnet18", "method": "coherent"}
    report = run(TransferConfig(source=str(tmp_path / "old.pt"), out=str(tmp_path / "out.safetensors"), **settings))
    assert report.warnings == []
    assert all(torch.equal(tensor, state[name]) for name, tensor in load_file(tmp_path / "out.safetensors").items())

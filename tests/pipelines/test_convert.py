"""`convert` end to end: the same bits under clean names, and an account of everything else in the file."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from torchvision.models import get_model

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, Preprocessing, Provenance
from tlvcli.core.report import Report
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.models.builders import build
from tlvcli.pipelines.convert import ConvertConfig, ConvertResult, run

WEIGHTS = {"b.weight": torch.arange(6.0).reshape(2, 3), "a.weight": torch.ones(4), "a.steps": torch.tensor(3)}
AVERAGE = {name: tensor * 2 for name, tensor in WEIGHTS.items()}


def convert(source: Path | str, out: Path, **settings: Any) -> Report[ConvertResult]:
    return run(ConvertConfig(checkpoint=str(source), out=str(out), **settings))


def save(folder: Path, content: object, name: str = "in.pt") -> Path:
    torch.save(content, folder / name)
    return folder / name


def said(out: Path) -> Provenance:
    with safe_open(out, "pt") as file:
        return Provenance.model_validate_json(file.metadata()["tlv"])


def same_tensors(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return found.keys() == expected.keys() and all(
        found[name].dtype == tensor.dtype and torch.equal(found[name], tensor) for name, tensor in expected.items()
    )


def fails(error_id: str, source: Path | str, out: Path, **settings: Any) -> TlvError:
    before = {path.name: path.read_bytes() for path in out.parent.iterdir() if path.is_file()}
    with pytest.raises(TlvError) as caught:
        convert(source, out, **settings)
    assert caught.value.error_id == error_id
    assert caught.value.hint
    assert {path.name: path.read_bytes() for path in out.parent.iterdir() if path.is_file()} == before
    return caught.value


def test_the_same_bits_under_clean_names_and_the_rest_named(tmp_path: Path) -> None:
    moments = {"state": {0: {"exp_avg": torch.ones(6), "step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}
    wrapped = {f"module.{name}": tensor for name, tensor in WEIGHTS.items()}
    source = save(
        tmp_path,
        {"state_dict": {**wrapped, "n_averaged": torch.tensor(5)}, "ema": AVERAGE, "optimizer": moments, "epoch": 3},
    )
    report = convert(source, tmp_path / "out.safetensors")
    assert same_tensors(load_file(tmp_path / "out.safetensors"), WEIGHTS)
    result = report.result
    assert (result.taken, result.prefix, result.num_tensors, result.num_elements) == ("state_dict", "module.", 3, 11)
    assert (result.num_bytes, result.num_cast, result.dtypes) == (48, 0, {"float32": 2, "int64": 1})
    assert [(entry.name, entry.tensors, entry.bytes) for entry in result.left_out] == [
        ("ema", 3, 48),
        ("epoch", 0, 0),
        ("optimizer", 2, 28),
        ("state_dict.n_averaged", 1, 8),
    ]
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    provenance = said(tmp_path / "out.safetensors")
    assert (provenance.architecture, provenance.tensor_order) == (None, tuple(WEIGHTS))
    assert (provenance.made_by.command, provenance.made_by.method) == ("convert", "part state_dict, values unchanged")
    assert [(parent.name, parent.sha256) for parent in provenance.made_by.made_from] == [("in.pt", digest)]
    assert report.inputs[0].sha256 == digest
    assert report.outputs[0].sha256 == hashlib.sha256((tmp_path / "out.safetensors").read_bytes()).hexdigest()


def test_every_tensor_of_the_file_is_written_or_left_out(tmp_path: Path) -> None:
    content = {"model": WEIGHTS, "swa": {"list": [AVERAGE, (torch.ones(2),)]}, "rng": torch.zeros(7, dtype=torch.uint8)}
    result = convert(save(tmp_path, content), tmp_path / "out.safetensors").result
    assert result.num_tensors + sum(entry.tensors for entry in result.left_out) == 3 + 3 + 1 + 1
    assert result.num_bytes + sum(entry.bytes for entry in result.left_out) == 48 + 48 + 8 + 7


@pytest.mark.parametrize(
    ("content", "taken"),
    [
        ({"model": WEIGHTS, "model_ema": AVERAGE}, "model_ema"),
        ({"state_dict": WEIGHTS, "state_dict_ema": AVERAGE, "epoch": 1}, "state_dict_ema"),
        ({"model": WEIGHTS, "ema": {"state_dict": AVERAGE, "decay": 0.9}}, "ema.state_dict"),
        ({**WEIGHTS, "ema": AVERAGE}, "ema"),
    ],
)
def test_the_moving_average(tmp_path: Path, content: dict[str, Any], taken: str) -> None:
    report = convert(save(tmp_path, content), tmp_path / "out.safetensors", ema=True)
    assert same_tensors(load_file(tmp_path / "out.safetensors"), AVERAGE)
    assert report.result.taken == taken
    assert said(tmp_path / "out.safetensors").made_by.method == f"moving average {taken}, values unchanged"


def test_a_real_average_next_to_the_model(tmp_path: Path) -> None:
    module = nn.Linear(3, 2)
    average = AveragedModel(module)
    average.update_parameters(nn.Linear(3, 2))
    source = save(tmp_path, {"model": module.state_dict(), "model_ema": average.state_dict()})
    report = convert(source, tmp_path / "out.safetensors", ema=True)
    assert same_tensors(load_file(tmp_path / "out.safetensors"), dict(average.module.state_dict()))
    assert [entry.name for entry in report.result.left_out] == ["model", "model_ema.n_averaged"]


def test_no_average_names_what_is_there(tmp_path: Path) -> None:
    source, out = save(tmp_path, {"model": WEIGHTS, "teacher": AVERAGE}), tmp_path / "out.safetensors"
    assert "only model, teacher" in fails("no-average", source, out, ema=True).message
    save_file(WEIGHTS, tmp_path / "plain.safetensors")
    fails("no-average", tmp_path / "plain.safetensors", out, ema=True)
    with pytest.raises(ValueError, match="not both"):
        ConvertConfig(checkpoint="a", out="b", ema=True, key="model")


def test_tensors_beside_nests_need_a_word(tmp_path: Path) -> None:
    source, out = save(tmp_path, {**WEIGHTS, "encoder": AVERAGE}), tmp_path / "out.safetensors"
    assert "--key ." in fails("key-needed", source, out).hint
    report = convert(source, out, key=".")
    assert same_tensors(load_file(out), WEIGHTS)
    assert [(entry.name, entry.tensors) for entry in report.result.left_out] == [("encoder", 3)]


def test_names_that_would_collide_keep_their_prefixes(tmp_path: Path) -> None:
    tensors = {"module.a": torch.ones(2), "_orig_mod.a": torch.zeros(2), "a": torch.full((2,), 2.0)}
    assert convert(save(tmp_path, tensors), tmp_path / "out.safetensors").result.prefix == ""
    assert same_tensors(load_file(tmp_path / "out.safetensors"), tensors)


def test_tied_weights_are_written_under_each_name(tmp_path: Path) -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(7, 4)
            self.head = nn.Linear(4, 7, bias=False)
            self.head.weight = self.embedding.weight

    report = convert(save(tmp_path, Tied().state_dict()), tmp_path / "out.safetensors")
    assert report.result.shared == [["embedding.weight", "head.weight"]]
    assert report.result.shared_bytes == 7 * 4 * 4
    Tied().load_state_dict(load_file(tmp_path / "out.safetensors"), strict=True)


@pytest.mark.parametrize("legacy", [False, True])
def test_views_are_written_as_their_own_elements(tmp_path: Path, legacy: bool) -> None:
    large = torch.arange(100_000.0).reshape(100, 1000)
    tensors = {"row": large[3], "left": large[:, 4:6], "right": large[:, 6:8], "turned": large[9:].t()}
    torch.save(tensors, tmp_path / "in.pt", _use_new_zipfile_serialization=not legacy)
    report = convert(tmp_path / "in.pt", tmp_path / "out.safetensors")
    assert same_tensors(load_file(tmp_path / "out.safetensors"), tensors)
    assert report.result.num_bytes == 4 * (1000 + 200 + 200 + 91_000)
    # Both columns cross the row once and the rest in 91 rows, two elements wide.
    assert report.result.shared == [["row", "left", "right", "turned"]]
    assert report.result.shared_bytes == 4 * 2 * (2 + 2 * 91)


def test_only_what_overlaps_is_shared(tmp_path: Path) -> None:
    large = torch.arange(60.0).reshape(10, 6)
    tensors = {"left": large[:, :3], "right": large[:, 3:], "flat": torch.arange(9.0)[:4]}
    assert convert(save(tmp_path, tensors), tmp_path / "out.safetensors").result.shared == []
    report = convert(save(tmp_path, {**tensors, "tied": large[:, 3:]}), tmp_path / "more.safetensors")
    assert (report.result.shared, report.result.shared_bytes) == ([["right", "tied"]], 10 * 3 * 4)
    expanded = {"a": torch.ones(1).expand(5), "b": torch.zeros(5)}
    assert convert(save(tmp_path, expanded), tmp_path / "expanded.safetensors").result.shared == []


def test_dtype_of_floating_tensors_only(tmp_path: Path) -> None:
    tensors = {**WEIGHTS, "z": torch.tensor([1 + 2j]), "mask": torch.tensor([True])}
    source = save(tmp_path, tensors)
    report = convert(source, tmp_path / "out.safetensors", dtype="bfloat16")
    expected = {name: tensor.bfloat16() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    assert same_tensors(load_file(tmp_path / "out.safetensors"), expected)
    assert report.result.num_cast == 2
    assert report.result.dtypes_before == {"bool": 1, "complex64": 1, "float32": 2, "int64": 1}
    assert report.result.dtypes == {"bfloat16": 2, "bool": 1, "complex64": 1, "int64": 1}


@pytest.mark.parametrize("settings", [{}, {"dry_run": True}, {"shard_size": 16}])
def test_overflow_is_refused_and_nothing_written(tmp_path: Path, settings: dict[str, Any]) -> None:
    source = save(tmp_path, {"a": torch.ones(4), "fc.weight": torch.tensor([1e6, 1.0, -1e6])})
    error = fails("dtype-overflow", source, tmp_path / "out.safetensors", dtype="float16", **settings)
    assert "fc.weight holds 2 values" in error.message
    assert convert(source, tmp_path / "out.safetensors", dtype="bfloat16").result.num_cast == 2


def test_shards_and_back(tmp_path: Path) -> None:
    module = build(Architecture(name="squeezenet1_1", num_classes=7), seed=5)
    source = save(tmp_path, module.state_dict())
    report = convert(source, tmp_path / "set.safetensors", shard_size="500kB")
    assert report.config["shard_size"] == 500_000
    assert len(report.outputs) == report.result.num_files + 1 > 3
    index = tmp_path / "set.safetensors.index.json"
    assert report.outputs[0].path == str(index)
    opened = open_checkpoint(index)
    assert opened.order == "metadata"
    back = convert(index, tmp_path / "back.safetensors")
    assert same_tensors(load_file(tmp_path / "back.safetensors"), module.state_dict())
    said_back = said(tmp_path / "back.safetensors")
    assert said_back.architecture == Architecture(name="squeezenet1_1", num_classes=7)
    assert said_back.made_by.made_from[0].name == index.name
    assert said_back.made_by.made_from[0].sha256 == back.inputs[0].sha256
    assert said_back.made_by.made_from[0].made_by.made_from[0].name == "in.pt"
    assert said_back.tensor_order == tuple(module.state_dict())
    again = convert(index, tmp_path / "set2.safetensors", shard_size="1GB")
    assert [Path(output.path).name for output in again.outputs] == ["set2.safetensors"]


def test_what_the_file_said_of_itself_stays(tmp_path: Path) -> None:
    preprocessing = Preprocessing(image_size=32, resize_size=36, mean=(0.5,), std=(0.2,))
    first = convert(save(tmp_path, WEIGHTS), tmp_path / "first.safetensors")
    kept = said(tmp_path / "first.safetensors").model_copy(
        update={"class_names": ("cat", "dog"), "preprocessing": preprocessing}
    )
    save_file(WEIGHTS, tmp_path / "ours.safetensors", metadata={"tlv": kept.model_dump_json()})
    convert(tmp_path / "ours.safetensors", tmp_path / "out.safetensors", dtype="float16")
    provenance = said(tmp_path / "out.safetensors")
    assert (provenance.class_names, provenance.preprocessing) == (("cat", "dog"), preprocessing)
    assert provenance.tensor_order == tuple(WEIGHTS)
    assert provenance.made_by.method == "to float16"
    assert provenance.made_by.made_from[0].made_by == kept.made_by
    assert first.result.architecture is None


def test_an_architecture_must_fit(tmp_path: Path, small_network: str) -> None:
    module = build(Architecture(name=small_network, num_classes=5), seed=0)
    source = save(tmp_path, module.state_dict())
    report = convert(source, tmp_path / "out.safetensors", arch=small_network)
    assert report.result.architecture == Architecture(name=small_network, num_classes=5)
    assert said(tmp_path / "out.safetensors").architecture == report.result.architecture
    error = fails("checkpoint-mismatch", source, tmp_path / "no.safetensors", arch="resnet18")
    assert "is no resnet18" in error.message


def test_the_same_bytes_again_and_a_dry_run_writes_none(tmp_path: Path) -> None:
    source = save(tmp_path, WEIGHTS)
    dry = convert(source, tmp_path / "out.safetensors", dry_run=True, shard_size=24)
    assert (dry.outputs, [path.name for path in tmp_path.iterdir()]) == ([], ["in.pt"])
    first = convert(source, tmp_path / "out.safetensors", shard_size=24, report=str(tmp_path / "r.json"))
    assert json.loads((tmp_path / "r.json").read_text()) == json.loads(first.to_json())
    assert dry.result == first.result
    again = run(ConvertConfig(**{**first.config, "force": True}))
    assert again.outputs == first.outputs


def test_outputs_that_are_refused(tmp_path: Path) -> None:
    source, out = save(tmp_path, WEIGHTS), tmp_path / "out.safetensors"
    assert "out.safetensors" in fails("output-not-safetensors", source, tmp_path / "out.pt").hint
    fails("output-is-input", source, out, report=str(source), force=True)
    fails("config-invalid", source, out, report=str(out))
    fails("config-invalid", source, out, report=str(out) + ".index.json", shard_size=24)
    fails("checkpoint-missing", tmp_path / "absent.pt", out)
    (tmp_path / "in.safetensors").write_bytes(convert(source, out) and out.read_bytes())
    fails("output-is-input", out, out, force=True, shard_size=24)
    assert "--force" in fails("output-exists", source, out).hint
    (tmp_path / "r.json").write_text("precious")
    fails("output-exists", source, tmp_path / "new.safetensors", report=str(tmp_path / "r.json"))


def test_a_set_is_not_replaced_by_its_own_content(tmp_path: Path) -> None:
    convert(save(tmp_path, WEIGHTS), tmp_path / "m.safetensors", shard_size=24)
    index = tmp_path / "m.safetensors.index.json"
    fails("output-is-input", index, tmp_path / "m.safetensors", shard_size=16, force=True)
    shard = next(tmp_path.glob("m-00001*"))
    fails("output-is-input", index, shard, force=True)
    fails("output-is-input", index, tmp_path / "x.safetensors", report=str(shard), force=True)
    # One file beside its shards is the usual way to join them.
    assert convert(index, tmp_path / "m.safetensors").outputs[0].path == str(tmp_path / "m.safetensors")


def test_an_earlier_set_goes_with_a_warning(tmp_path: Path) -> None:
    source = save(tmp_path, WEIGHTS)
    convert(source, tmp_path / "m.safetensors", shard_size=16)
    report = convert(source, tmp_path / "m.safetensors", shard_size=40, force=True)
    assert "m-00003-of-00003.safetensors" in report.warnings[0]
    assert {Path(output.path).name for output in report.outputs} | {"in.pt"} == {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "key", "model"),
    [("squeezenet1_1-imagenet.pth", None, "squeezenet1_1"), ("akamaster_resnet56-4bfd9763.th", "state_dict", None)],
)
def test_real_checkpoints(shared_data: Path, tmp_path: Path, name: str, key: str | None, model: str | None) -> None:
    source = shared_data / "checkpoints" / name
    loaded = torch.load(source, weights_only=True, map_location="cpu")
    expected = {tensor.removeprefix("module."): value for tensor, value in (loaded[key] if key else loaded).items()}
    report = convert(source, tmp_path / "out.safetensors")
    assert same_tensors(load_file(tmp_path / "out.safetensors"), expected)
    assert (report.result.taken, report.result.num_tensors) == (key, len(expected))
    assert said(tmp_path / "out.safetensors").tensor_order == tuple(expected)
    assert (report.result.architecture.name if report.result.architecture else None) == model
    if model:
        get_model(model).load_state_dict(load_file(tmp_path / "out.safetensors"), strict=True)
    else:
        assert [entry.name for entry in report.result.left_out] == ["best_prec1"]
    convert(source, tmp_path / "set.safetensors", shard_size="1MB", dtype="float16")
    halves = open_checkpoint(tmp_path / "set.safetensors.index.json")
    assert all(torch.equal(halves.read(tensor), value.half()) for tensor, value in expected.items())


def test_what_is_not_finite_is_taken_and_told(tmp_path: Path) -> None:
    weights = {
        "a": torch.tensor([1.0, float("nan"), float("inf")]),
        "b": torch.tensor([-float("inf")]),
        "c": torch.ones(3),
    }
    report = convert(save(tmp_path, weights), tmp_path / "out.safetensors", fail_on="nan")
    written = load_file(tmp_path / "out.safetensors")
    assert all(torch.equal(written[name], tensor) or written[name].isnan().any() for name, tensor in weights.items())
    assert [(entry.name, entry.values) for entry in report.result.not_finite] == [("a", 2), ("b", 1)]
    assert report.warnings == ["3 values NaN or Inf, taken as they are, in 2 tensors, most in a"]
    (gate,) = report.gates
    assert (gate.flag, gate.met, gate.message) == ("--fail-on nan", False, "2 tensors hold NaN or Inf")
    dry = convert(tmp_path / "in.pt", tmp_path / "none.safetensors", fail_on="nan", dry_run=True)
    assert dry.result.not_finite == report.result.not_finite


def test_a_file_without_nan_passes_the_gate(tmp_path: Path) -> None:
    report = convert(save(tmp_path, WEIGHTS), tmp_path / "out.safetensors", fail_on="nan")
    assert (report.warnings, report.gates[0].met) == ([], True)

"""The verbs as functions: the settings and results of the command line, without printing."""

from __future__ import annotations

import gc
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import tlvcli
from tlvcli.api.signatures import VERBS, annotation_of, described
from tlvcli.cli.main import run

TINY = "squeezenet1_1"
LOADED = """
import json, sys
before = set(sys.modules)
import tlvcli
plain = sorted(name for name in set(sys.modules) - before if "." not in name)
functions = [getattr(tlvcli, name) for name in dir(tlvcli) if name[0] != "_"]
slow = sorted({"torch", "torchvision", "scipy", "matplotlib"} & set(sys.modules))
print(json.dumps({"plain": plain, "slow": slow, "functions": len(functions)}))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "source.safetensors"
    assert tlvcli.transfer(f"{TINY}@random", TINY, path, num_classes=10, method="he").passed
    return path


def test_importing_loads_nothing_and_naming_functions_no_torch() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], check=True, capture_output=True, text=True)
    told = json.loads(done.stdout)
    assert told["plain"] == ["tlvcli"]
    assert told["slow"] == []
    assert told["functions"] >= 13


def test_a_function_does_what_the_command_does(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = tlvcli.transfer(source, "squeezenet1_0", tmp_path / "a.safetensors", method="dpiat", seed=3)
    assert capsys.readouterr() == ("", "")
    arguments = [str(source), "squeezenet1_0", str(tmp_path / "b.safetensors"), "--method", "dpiat", "--seed", "3"]
    assert run(["transfer", *arguments, "--json", "--quiet"]) == 0
    told = json.loads(capsys.readouterr().out)
    mine = json.loads(answer.report.to_json())
    assert mine["result"] == told["result"]
    assert mine["outputs"][0]["sha256"] == told["outputs"][0]["sha256"]
    assert answer.result.coverage == told["result"]["coverage"]


def test_a_transfer_without_output_lives_as_long_as_its_answer(source: Path) -> None:
    answer = tlvcli.transfer(source, TINY, method="coherent")
    place = answer.checkpoint
    assert place is not None and place.is_file()
    expected = load_file(source)
    state = answer.state_dict()
    assert list(state) == list(answer.load().state_dict())
    del answer
    gc.collect()
    assert not place.parent.exists()
    assert all(torch.equal(state[name], tensor) for name, tensor in expected.items())


def test_a_failed_transfer_leaves_no_folder(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(tlvcli.TlvError, match="no torchvision classifier is called resnet19"):
        tlvcli.transfer(source, "resnet19")
    assert list(tmp_path.iterdir()) == []


def test_what_is_written_is_loaded(source: Path) -> None:
    model = tlvcli.load(source)
    assert not model.training
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert model(images).shape == (2, 10)
    assert all(torch.equal(model.state_dict()[name], tensor) for name, tensor in load_file(source).items())
    dry = tlvcli.transfer(source, TINY, dry_run=True)
    assert dry.checkpoint is None
    with pytest.raises(tlvcli.TlvError, match="tlv transfer wrote no checkpoint"):
        dry.load()


def test_misspelt_settings_are_answered_with_the_nearest(source: Path) -> None:
    with pytest.raises(tlvcli.TlvError) as caught:
        tlvcli.transfer(source, TINY, num_clases=3)
    assert (caught.value.error_id, caught.value.hint) == ("config-invalid", "did you mean num_classes?")
    with pytest.raises(tlvcli.TlvError) as caught:
        tlvcli.transfer(source, TINY, keep="random")
    assert caught.value.hint == "did you mean mapping.keep?"
    if sys.version_info >= (3, 11):
        assert caught.value.__notes__ == ["hint: did you mean mapping.keep?  [config-invalid, see docs/errors.md]"]


def test_a_network_in_memory_is_refused_with_the_way_out() -> None:
    with pytest.raises(tlvcli.TlvError, match="source is a Linear in memory") as caught:
        tlvcli.transfer(torch.nn.Linear(2, 2), TINY)  # type: ignore[arg-type]
    assert caught.value.error_id == "module-in-memory"


def test_gates_are_told_and_nothing_is_raised(source: Path) -> None:
    answer = tlvcli.evaluate(source, "digits@val:20", min_accuracy=1.0, image_size=32)
    assert not answer.passed
    assert answer.report.gates[0].flag == "--min-accuracy 1"
    assert "gate not met" in repr(answer)


def test_an_answer_is_a_table_of_what_is_plain(tmp_path: Path) -> None:
    save_file({"<b>stem.weight": torch.zeros(4, 3, 3, 3)}, tmp_path / "<i>.safetensors")
    answer = tlvcli.inspect(tmp_path / "<i>.safetensors")
    rows = [line.split(maxsplit=1) for line in repr(answer).splitlines()]
    assert rows[0] == ["tlv", "inspect"]
    assert ["totals.parameters", "108"] in rows
    assert ["layers", "1 entry"] in rows
    html = answer._repr_html_()
    assert html.count("<tr>") == len(rows) - 1
    assert "<b>" not in html and "<i>" not in html


def test_progress_is_told_line_by_line(source: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    answer = tlvcli.train(source, "digits@train:40", tmp_path / "run", epochs=1, image_size=32, progress=lines.append)
    assert any("epoch" in line for line in lines)
    assert answer.checkpoint == tmp_path / "run" / "best.safetensors"
    with pytest.raises(tlvcli.TlvError, match="is finished"):
        tlvcli.resume(tmp_path / "run")
    images = [tmp_path / "run" / "curves.png"]
    labels = tlvcli.predict(tmp_path / "run" / "best.safetensors", images[0]).result.predictions
    assert labels == tlvcli.predict(tmp_path / "run" / "best.safetensors", images).result.predictions


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.name)
def test_a_signature_is_the_configuration(verb: Any) -> None:
    function = described(verb.name)
    fields = verb.load_config().model_fields
    parameters = inspect.signature(function).parameters
    assert set(parameters) - set(fields) <= {"progress", "run_dir"}
    assert set(fields) - set(parameters) <= {"null", "jsonl", "checkpoint", "data", "out", "dry_run", "force"}
    for key, parameter in parameters.items():
        if key in fields and not verb.goes_on and parameter.default is not inspect.Parameter.empty and key != "out":
            assert parameter.default == fields[key].get_default(call_default_factory=True), key
            assert f"\n    {key}: {fields[key].description}" in str(function.__doc__)


def test_annotations_tell_what_a_setting_takes() -> None:
    fields = {verb.name: verb.load_config().model_fields for verb in VERBS}
    told = {
        ("transfer", "fit"): "Mapping[str, Any] | StrPath | None",
        ("transfer", "shard_size"): "int | str | None",
        ("compare", "grid"): "Mapping[str, Any]",
        ("train", "milestones"): "Sequence[float] | str | None",
        ("train", "optimizer"): 'Literal["adamw", "adam", "sgd"]',
        ("analyze_stats", "against"): "Sequence[StrPath] | StrPath",
        ("evaluate", "mean"): "Sequence[float] | str | None",
    }
    assert {(name, key): annotation_of(key, fields[name][key]) for name, key in told} == told


def test_what_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'evaluat'"):
        _ = tlvcli.evaluat  # type: ignore[attr-defined]

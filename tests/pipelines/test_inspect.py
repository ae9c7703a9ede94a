import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.core.report import Report
from tlvcli.models.builders import build
from tlvcli.pipelines.inspect import InspectConfig, run
from tlvcli.pipelines.inspection.result import InspectResult


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Linear(4, 2).half())


def test_counts_by_layer_and_in_total(tmp_path: Path) -> None:
    torch.save({"model": network().state_dict(), "epoch": 3}, tmp_path / "a.pt")
    report = run(InspectConfig(checkpoint=str(tmp_path / "a.pt")))
    result = report.result
    assert [layer.name for layer in result.layers] == ["0", "1", "2"]
    assert [layer.parameters for layer in result.layers] == [108, 8, 10]
    assert [layer.buffers for layer in result.layers] == [0, 9, 0]
    assert [layer.bytes for layer in result.layers] == [432, 72, 20]
    assert [tensor.name for tensor in result.layers[1].tensors] == [
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    totals = result.totals
    assert (totals.layers, totals.tensors, totals.parameters, totals.buffers, totals.bytes) == (
        3,
        8,
        126,
        9,
        524,
    )
    assert totals.dtypes == {"float16": 2, "float32": 5, "int64": 1}
    assert (result.format, result.key, result.ignored) == ("pytorch-zip", "model", ["epoch"])
    assert (report.inputs[0].tensors, report.inputs[0].parameters) == (8, 126)
    assert (report.inputs[0].sha256, report.inputs[0].order) == (None, "file")


def test_key_takes_another_part(tmp_path: Path) -> None:
    torch.save({"model": network().state_dict(), "ema": {"w": torch.ones(3)}}, tmp_path / "a.pt")
    assert run(InspectConfig(checkpoint=str(tmp_path / "a.pt"))).result.alternatives == ["ema"]
    result = run(InspectConfig(checkpoint=str(tmp_path / "a.pt"), key="ema")).result
    assert (result.key, result.alternatives, result.totals.parameters) == ("ema", ["model"], 3)
    assert [layer.name for layer in result.layers] == [""]


def test_provenance_is_shown_once(tmp_path: Path) -> None:
    architecture = Architecture(name="resnet18", num_classes=10)
    ours = Provenance(architecture=architecture, made_by=MadeBy(command="train", method="plain", tlv_version="0"))
    metadata = {"format": "pt", "tlv": ours.model_dump_json()}
    save_file(network().state_dict(), tmp_path / "a.safetensors", metadata=metadata)
    result = run(InspectConfig(checkpoint=str(tmp_path / "a.safetensors"))).result
    assert (result.architecture, result.provenance) == (architecture, ours)
    assert result.metadata == {"format": "pt"}
    save_file(network().state_dict(), tmp_path / "b.safetensors", metadata={"tlv": "not ours"})
    result = run(InspectConfig(checkpoint=str(tmp_path / "b.safetensors"))).result
    assert (result.architecture, result.metadata) == (None, {"tlv": "not ours"})


def test_config_of_a_report_repeats_it(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "a.safetensors")
    report = run(InspectConfig(checkpoint=str(tmp_path / "a.safetensors")))
    again = run(InspectConfig.model_validate(report.config))
    assert again.result == report.result
    assert '"schema": "tlv.inspect/1"' in report.to_json()


def test_layers_keep_the_order_of_their_first_tensor(tmp_path: Path) -> None:
    torch.save({"b.w": torch.ones(1), "a.w": torch.ones(1), "b.v": torch.ones(1)}, tmp_path / "a.pt")
    layers = run(InspectConfig(checkpoint=str(tmp_path / "a.pt"))).result.layers
    assert [(layer.name, len(layer.tensors)) for layer in layers] == [("b", 2), ("a", 1)]


def test_a_scalar_counts_one(tmp_path: Path) -> None:
    torch.save({"temperature": torch.tensor(0.07)}, tmp_path / "a.pt")
    result = run(InspectConfig(checkpoint=str(tmp_path / "a.pt"))).result
    assert result.layers[0].tensors[0].shape == ()
    assert result.totals.parameters == 1


def test_an_architecture_without_a_file() -> None:
    result = run(InspectConfig(checkpoint="squeezenet1_1@random")).result
    assert (result.format, result.file_bytes, result.provenance) == ("random initialisation", None, None)
    assert result.architecture is not None
    assert (result.architecture.name, result.totals.parameters) == ("squeezenet1_1", 1_235_496)


def test_missing_file() -> None:
    with pytest.raises(TlvError, match="does not exist"):
        run(InspectConfig(checkpoint="no/such/file.pt"))


def test_no_torch_for_safetensors(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "a.safetensors")
    code = (
        "import sys; from tlvcli.pipelines.inspect import InspectConfig, run; "
        f"report = run(InspectConfig(checkpoint={str(tmp_path / 'a.safetensors')!r})); "
        "assert report.result.totals.parameters == 126; "
        "assert not {'torch', 'torchvision', 'numpy', 'typer', 'rich'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def inspect(path: Path, **settings: object) -> Report[InspectResult]:
    return run(InspectConfig(checkpoint=str(path), **settings))


def test_layers_select_what_is_listed_and_read(tmp_path: Path) -> None:
    state = network().state_dict()
    state["2.bias"][0] = torch.nan
    save_file(state, tmp_path / "a.safetensors")
    report = inspect(tmp_path / "a.safetensors", layers="1", stats=True)
    assert [layer.name for layer in report.result.layers] == ["1"]
    assert report.result.totals.layers == 3
    assert report.result.statistics is not None
    assert [tensor.name for tensor in report.result.statistics.tensors] == [
        "1.weight",
        "1.bias",
        "1.running_mean",
        "1.running_var",
        "1.num_batches_tracked",
    ]
    assert report.warnings == []
    with pytest.raises(TlvError, match="no layer is called 4"):
        inspect(tmp_path / "a.safetensors", layers="4")


def test_nan_is_a_warning_and_a_gate(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "good.safetensors")
    state["2.bias"][0] = torch.nan
    save_file(state, tmp_path / "bad.safetensors")
    (gate,) = inspect(tmp_path / "good.safetensors", fail_on="nan").gates
    assert (gate.met, gate.message) == (True, "every value is finite")
    report = inspect(tmp_path / "bad.safetensors", fail_on="nan")
    assert (report.gates[0].met, report.gates[0].message) == (False, "1 tensors hold NaN or Inf")
    assert "2.bias" in report.warnings[0]
    assert inspect(tmp_path / "bad.safetensors").warnings == []


def test_a_difference_is_a_gate(tmp_path: Path) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / "a.safetensors")
    state["0.weight"] *= 1.001
    save_file(state, tmp_path / "b.safetensors")
    settings = {"against": str(tmp_path / "a.safetensors"), "exit_code": True}
    assert [gate.met for gate in inspect(tmp_path / "b.safetensors", **settings).gates] == [False]
    assert [gate.met for gate in inspect(tmp_path / "b.safetensors", rtol=0.01, **settings).gates] == [True]
    assert [gate.met for gate in inspect(tmp_path / "b.safetensors", layers="1", **settings).gates] == [True]
    report = inspect(tmp_path / "b.safetensors", **settings)
    assert [(one.role, Path(one.path).name) for one in report.inputs] == [
        ("checkpoint", "b.safetensors"),
        ("reference", "a.safetensors"),
    ]


def test_files_of_two_kinds_are_not_compared(tmp_path: Path) -> None:
    tensors = {"0.weight": torch.ones(4)}
    save_file(tensors, tmp_path / "a.safetensors")
    save_file(tensors, tmp_path / "mask.safetensors", metadata={"tlv_kind": "mask"})
    assert inspect(tmp_path / "mask.safetensors").result.kind == "mask"
    with pytest.raises(TlvError, match=r"mask\.safetensors is a mask, .*a\.safetensors a checkpoint") as caught:
        inspect(tmp_path / "mask.safetensors", against=str(tmp_path / "a.safetensors"))
    assert caught.value.error_id == "not-comparable"


def test_a_flag_without_its_section_is_refused(tmp_path: Path) -> None:
    for settings in ({"exit_code": True}, {"atol": 0.1}, {"against_key": "ema"}, {"input_size": "32"}):
        with pytest.raises(ValueError, match="means nothing without"):
            InspectConfig(checkpoint="a.pt", **settings)


def test_what_else_a_training_checkpoint_holds(tmp_path: Path) -> None:
    module = network().float()
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1, momentum=0.9)
    module(torch.randn(2, 3, 6, 6)).sum().backward()
    optimizer.step()
    content = {
        "model": module.state_dict(),
        "optimizer": optimizer.state_dict(),
        "epoch": 12,
        "args": Namespace(lr=0.1, arch="resnet18", workers=4, seed=None, out="run"),
        "history": [1, 2, 3],
        "best": torch.tensor(0.5),
    }
    torch.save(content, tmp_path / "a.pt")
    beside = {entry.name: entry for entry in inspect(tmp_path / "a.pt").result.beside}
    assert beside["epoch"].holds == "12"
    assert beside["best"].holds == "0.5"
    assert beside["history"].holds == "3 items"
    assert beside["args"].holds == "settings lr=0.1, arch=resnet18, workers=4, seed=None and 1 more"
    assert beside["optimizer"].holds.startswith("state of an optimizer, lr=0.1, momentum=0.9")
    assert (beside["optimizer"].tensors, beside["optimizer"].bytes) == (5, 504)


def test_a_histogram_for_each_layer(tmp_path: Path) -> None:
    save_file(network().state_dict(), tmp_path / "a.safetensors")
    report = inspect(tmp_path / "a.safetensors", plots=str(tmp_path / "plots"))
    assert [Path(output.path).name for output in report.outputs] == ["0.png", "1.png", "2.png"]
    assert all(Path(output.path).read_bytes().startswith(b"\x89PNG") for output in report.outputs)
    with pytest.raises(TlvError, match="exists"):
        inspect(tmp_path / "a.safetensors", plots=str(tmp_path / "plots"))


def test_the_order_is_that_of_the_recognised_architecture(tmp_path: Path) -> None:
    state = build(Architecture(name="resnet18", num_classes=10), seed=0).state_dict()
    save_file(state, tmp_path / "a.safetensors")
    report = inspect(tmp_path / "a.safetensors")
    assert [tensor.name for layer in report.result.layers for tensor in layer.tensors] == list(state)
    assert report.result.recognition is not None
    assert (report.result.recognition.sentence, report.inputs[0].order) == (
        "resnet18, 10 classes",
        "architecture resnet18",
    )

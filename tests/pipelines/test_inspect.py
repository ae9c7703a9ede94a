import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.pipelines.inspect import InspectConfig, run


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

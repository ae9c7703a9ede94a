import argparse
import collections
import datetime
import os
import pathlib
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tlvcli.core.errors import TlvError
from tlvcli.io.checkpoint import open_checkpoint

WEIGHTS = {"conv.weight": torch.arange(6.0).reshape(2, 3), "conv.bias": torch.ones(2)}
BOTH_FORMATS = pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])


class Payload:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Evaluates:
    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("1 + 1",)


def save(content: object, path: Path, legacy: bool, **settings: Any) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy, **settings)
    return path


def refused(path: Path, error_id: str) -> TlvError:
    with pytest.raises(TlvError) as caught:
        open_checkpoint(path)
    assert caught.value.error_id == error_id
    assert path.name in caught.value.message
    assert "\n" not in caught.value.message + caught.value.hint
    return caught.value


def rewrite(path: Path, change: Any, compression: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = [(name, archive.read(name)) for name in archive.namelist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            archive.writestr(name, change(data) if name.endswith("/data.pkl") else data)


@BOTH_FORMATS
def test_nothing_of_a_refused_pickle_runs(tmp_path: Path, legacy: bool) -> None:
    mark = tmp_path / "it-ran"
    path = save({"state_dict": WEIGHTS, "x": Payload(mark)}, tmp_path / "model.pt", legacy)
    # What pickle writes for os.system is the module that defines it.
    assert f"needs the global {os.system.__module__}.system" in refused(path, "checkpoint-unsafe").message
    assert not mark.exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_plain_pickle_is_named_and_does_not_run(tmp_path: Path, protocol: int) -> None:
    mark = tmp_path / "it-ran"
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps([Payload(mark)], protocol))
    assert f"{os.system.__module__}.system" in refused(path, "checkpoint-unsafe").message
    assert not mark.exists()


def test_a_written_by_hand_pickle_is_named_and_does_not_run(tmp_path: Path) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(f"cos\nsystem\n(S'touch {tmp_path / 'it-ran'}'\ntR.".encode())
    assert "os.system" in refused(path, "checkpoint-unsafe").message
    assert not (tmp_path / "it-ran").exists()


@BOTH_FORMATS
def test_builtins_are_named_as_they_stand_in_the_file(tmp_path: Path, legacy: bool) -> None:
    path = save({"w": torch.ones(2), "x": Evaluates()}, tmp_path / "model.pt", legacy)
    assert "global __builtin__.eval" in refused(path, "checkpoint-unsafe").message


def test_environment_cannot_turn_safety_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path = save([Payload(tmp_path / "it-ran")], tmp_path / "model.pt", False)
    refused(path, "checkpoint-unsafe")
    assert not (tmp_path / "it-ran").exists()


@BOTH_FORMATS
def test_a_whole_module_gets_its_own_hint(tmp_path: Path, legacy: bool) -> None:
    from torchvision.models.squeezenet import Fire

    path = save(Fire(1, 1, 1, 1), tmp_path / "model.pt", legacy)
    error = refused(path, "checkpoint-unsafe")
    assert "torchvision.models.squeezenet.Fire" in error.message
    assert "state_dict()" in error.hint


@BOTH_FORMATS
def test_what_honest_training_leaves_behind_is_let_through(tmp_path: Path, legacy: bool) -> None:
    content = {
        "state_dict": WEIGHTS,
        "args": argparse.Namespace(lr=0.1, out=Path("runs"), sizes=[1, 2]),
        "path": pathlib.PurePosixPath("a"),
        "windows": pathlib.PureWindowsPath("C:/a"),
        "best": np.float64(71.2),
        "confusion": np.arange(4).reshape(2, 2),
        "names": np.array(["cat", "dog"], dtype=object),
        "dtype": np.dtype("f4"),
        "started": datetime.datetime(2024, 5, 1, tzinfo=datetime.timezone.utc),
        "took": datetime.timedelta(seconds=5),
        "day": datetime.date(2024, 5, 1),
        "history": collections.defaultdict(list, loss=[1.0]),
        "recent": collections.deque([1, 2], maxlen=5),
        "counts": collections.Counter("aab"),
        "seen": {1, 2},
        "frozen": frozenset({1}),
        "device": torch.device("cpu"),
        "size": torch.Size([2]),
        "slice": slice(1, 2),
        "complex": 1j,
    }
    opened = open_checkpoint(save(content, tmp_path / "model.pt", legacy))
    assert opened.key == "state_dict"
    assert set(opened.ignored) == set(content) - {"state_dict"}
    assert torch.equal(opened.read("conv.weight"), WEIGHTS["conv.weight"])


def test_stand_ins_leave_no_trace_in_torch(tmp_path: Path) -> None:
    path = save({"w": torch.ones(2), "args": argparse.Namespace()}, tmp_path / "model.pt", False)
    before = set(torch.serialization.get_safe_globals())
    open_checkpoint(path)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)


@BOTH_FORMATS
def test_dict_in_a_default_dict_is_found(tmp_path: Path, legacy: bool) -> None:
    content = collections.defaultdict(dict, model=collections.OrderedDict(WEIGHTS))
    opened = open_checkpoint(save(content, tmp_path / "model.pt", legacy))
    assert (opened.key, [spec.name for spec in opened.specs]) == ("model", list(WEIGHTS))


@BOTH_FORMATS
def test_cuda_tensors_load_on_the_cpu(tmp_path: Path, legacy: bool) -> None:
    path = save(WEIGHTS, tmp_path / "model.pt", legacy)

    def on_cuda(data: bytes) -> bytes:
        # The location of a storage, as torch.save writes it for a tensor on the first card.
        changed = data.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
        assert changed != data
        return changed

    if legacy:
        path.write_bytes(on_cuda(path.read_bytes()))
    else:
        rewrite(path, on_cuda)
    if not torch.cuda.is_available():
        with pytest.raises(RuntimeError, match="CUDA"):
            torch.load(path, weights_only=True)
    opened = open_checkpoint(path)
    assert opened.read("conv.weight").device.type == "cpu"
    assert torch.equal(opened.read("conv.weight"), WEIGHTS["conv.weight"])


def test_an_archive_that_was_packed_again_is_read_right(tmp_path: Path) -> None:
    path = save({"w": torch.arange(1000.0)}, tmp_path / "model.pt", False)
    rewrite(path, lambda data: data, zipfile.ZIP_DEFLATED)
    assert torch.equal(open_checkpoint(path).read("w"), torch.arange(1000.0))


def test_a_zip_is_mapped_not_read(tmp_path: Path) -> None:
    path = save({"w": torch.zeros(1000)}, tmp_path / "model.pt", False)
    weights = open_checkpoint(path).read("w")
    with path.open("r+b") as stream:
        stream.seek(path.read_bytes().index(bytes(4000)))
        stream.write(b"\x00\x00\x80\x3f")
    assert weights[0] == 1.0


@BOTH_FORMATS
def test_every_floating_dtype_keeps_its_own(tmp_path: Path, legacy: bool) -> None:
    names = ["float64", "float32", "float16", "bfloat16"]
    names += [] if legacy else ["float8_e4m3fn", "float8_e5m2"]
    content = {name: torch.tensor([1.5, -2.0]).to(getattr(torch, name)) for name in names}
    opened = open_checkpoint(save(content, tmp_path / "model.pt", legacy))
    assert [spec.dtype for spec in opened.specs] == names
    assert all(opened.read(name).float().tolist() == [1.5, -2.0] for name in names)


@BOTH_FORMATS
def test_two_names_may_share_one_storage(tmp_path: Path, legacy: bool) -> None:
    base = torch.arange(6.0)
    content = {"a": base, "b": base, "half": base[3:], "transposed": base.reshape(2, 3).t()}
    opened = open_checkpoint(save(content, tmp_path / "model.pt", legacy))
    assert opened.read("a").data_ptr() == opened.read("b").data_ptr()
    assert opened.read("half").tolist() == [3.0, 4.0, 5.0]
    assert opened.read("transposed").tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]


def test_parameters_come_without_gradient(tmp_path: Path) -> None:
    path = save({"w": nn.Parameter(torch.ones(2))}, tmp_path / "model.pt", False)
    assert not open_checkpoint(path).read("w").requires_grad


def test_unusual_tensors_are_refused_by_name(tmp_path: Path) -> None:
    unusual = {
        "sparse": torch.eye(3).to_sparse(),
        "meta": torch.empty(3, device="meta"),
        "complex128": torch.ones(2, dtype=torch.complex128),
    }
    for kind, tensor in unusual.items():
        path = save({"fc.weight": tensor}, tmp_path / "model.pt", False)
        message = refused(path, "checkpoint-unsupported").message
        assert "fc.weight" in message
        assert kind in message


# torch announces the end of quantized tensors to everyone who makes one.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")
def test_quantized_tensors_are_refused_by_name(tmp_path: Path) -> None:
    quantized = torch.quantize_per_tensor(torch.ones(2, 2), 0.1, 0, torch.qint8)
    path = save({"fc.weight": quantized}, tmp_path / "model.pt", False)
    assert "quantized" in refused(path, "checkpoint-unsupported").message


def test_a_newer_pickle_protocol(tmp_path: Path) -> None:
    content = {"w": torch.ones(2), "args": argparse.Namespace(lr=0.1)}
    path = save(content, tmp_path / "model.pt", False, pickle_protocol=4)
    assert "protocol" in refused(path, "checkpoint-unsupported").message


def test_an_archive_whose_names_disagree(tmp_path: Path) -> None:
    path = save({"x": Payload(tmp_path / "it-ran")}, tmp_path / "model.pt", False)
    # The first is the member's own header, which Python's zipfile compares with the table of contents.
    path.write_bytes(path.read_bytes().replace(b"model/data.pkl", b"model/data.pkk", 1))
    assert f"{os.system.__module__}.system" in refused(path, "checkpoint-unsafe").message
    assert not (tmp_path / "it-ran").exists()


def test_a_damaged_pickle(tmp_path: Path) -> None:
    path = save(WEIGHTS, tmp_path / "model.pt", False)
    rewrite(path, lambda data: data[:20] + b"\xff" * 20 + data[40:])
    refused(path, "checkpoint-corrupt")


# torch announces the end of TorchScript to everyone who uses it.
@pytest.mark.filterwarnings("ignore:.*is deprecated", "ignore:.*is not supported in Python")
def test_torchscript_as_torch_writes_it(tmp_path: Path) -> None:
    torch.jit.script(nn.Linear(2, 2)).save(tmp_path / "model.pt")
    refused(tmp_path / "model.pt", "checkpoint-torchscript")

import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from tlvcli.core.errors import TlvError
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.safetensors_header import ITEM_BYTES, read_header
from tlvcli.io.safetensors_writer import write_safetensors

FLOATS = ("float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2", "complex64")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "uint64", "bool")
DTYPES = FLOATS + INTEGERS


def of_every_dtype() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 100, (3, 5), generator=generator)
    return {f"layer.{name}": values.to(getattr(torch, name)) for name in reversed(DTYPES)}


def write(path: Path, tensors: dict[str, Tensor], **metadata: str) -> str:
    specs = TensorsInMemory(tensors).specs
    return write_safetensors(path, specs, tensors.items(), metadata=metadata, force=False)


def same_bits(a: Tensor, b: Tensor) -> bool:
    flat = [tensor.contiguous().reshape(-1).view(torch.uint8) for tensor in (a, b)]
    return a.dtype == b.dtype and a.shape == b.shape and torch.equal(*flat)


def test_every_dtype_is_read_back_by_the_library_and_by_us(tmp_path: Path) -> None:
    tensors = of_every_dtype()
    write(tmp_path / "a.safetensors", tensors, format="pt")
    theirs, ours = load_file(tmp_path / "a.safetensors"), open_checkpoint(tmp_path / "a.safetensors")
    assert len(ours.specs) == len(theirs) == len(DTYPES)
    for name, tensor in tensors.items():
        assert same_bits(theirs[name], tensor)
        assert same_bits(ours.read(name), tensor)
    with safe_open(tmp_path / "a.safetensors", "pt") as opened:
        assert opened.metadata() == {"format": "pt"}


def test_tensors_lie_aligned_behind_a_padded_header(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path, of_every_dtype(), note="é" * 3)
    header = read_header(path)
    assert struct.unpack("<Q", path.read_bytes()[:8])[0] % 8 == 0
    assert all(header.offsets[spec.name] % ITEM_BYTES[spec.dtype] == 0 for spec in header.specs)


def test_order_of_arrival_does_not_change_the_bytes(tmp_path: Path) -> None:
    tensors = of_every_dtype()
    specs = TensorsInMemory(tensors).specs
    forward = write(tmp_path / "a.safetensors", tensors)
    arrivals = reversed(list(tensors.items()))
    backward = write_safetensors(tmp_path / "b.safetensors", specs, arrivals, metadata={}, force=False)
    assert forward == backward == hashlib.sha256((tmp_path / "b.safetensors").read_bytes()).hexdigest()


def test_order_of_metadata_does_not_change_the_bytes(tmp_path: Path) -> None:
    tensors = {"a": torch.zeros(2)}
    assert write(tmp_path / "a", tensors, x="1", y="2") == write(tmp_path / "b", tensors, y="2", x="1")


def test_views_scalars_and_empty_tensors(tmp_path: Path) -> None:
    base = torch.arange(12.0).reshape(3, 4)
    tensors = {
        "transposed": base.t(),
        "strided": base[::2, 1],
        "expanded": torch.ones(1).expand(5),
        "scalar": torch.tensor(7),
        "empty": torch.empty(0, 3),
        "conjugate": torch.tensor([1 + 2j]).conj(),
        "parameter": nn.Parameter(torch.ones(2)),
    }
    write(tmp_path / "a.safetensors", tensors)
    theirs, ours = load_file(tmp_path / "a.safetensors"), open_checkpoint(tmp_path / "a.safetensors")
    for name, tensor in tensors.items():
        assert torch.equal(theirs[name], tensor)
        assert torch.equal(ours.read(name), tensor)


def test_loads_strictly_into_a_module(tmp_path: Path) -> None:
    module = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    write(tmp_path / "a.safetensors", module.state_dict())
    copy = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5))
    copy.load_state_dict(load_file(tmp_path / "a.safetensors"), strict=True)
    assert torch.equal(copy[0].weight, module[0].weight)


def test_a_failure_on_the_way_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path, {"a": torch.ones(2)})
    before = path.read_bytes()
    specs = TensorsInMemory({"a": torch.zeros(2), "b": torch.zeros(2)}).specs

    def broken() -> Iterator[tuple[str, Tensor]]:
        yield "a", torch.zeros(2)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_safetensors(path, specs, broken(), metadata={}, force=True)
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.safetensors"]
    with pytest.raises(TlvError, match="exists"):
        write(path, {"a": torch.ones(2)})


def test_a_tensor_unlike_its_spec_is_our_bug(tmp_path: Path) -> None:
    specs = TensorsInMemory({"a": torch.zeros(2)}).specs
    for tensors in ({"a": torch.zeros(3)}, {"a": torch.zeros(2).half()}, {}):
        with pytest.raises(AssertionError):
            write_safetensors(tmp_path / "a", specs, tensors.items(), metadata={}, force=False)
    assert not list(tmp_path.iterdir())


def test_header_is_compact_json_with_metadata_first(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    write(path, {"w": torch.zeros(1)}, k="v")
    content = path.read_bytes()
    text = content[8 : 8 + struct.unpack("<Q", content[:8])[0]].decode()
    assert text.startswith('{"__metadata__":{"k":"v"},"w":')
    assert json.loads(text)["w"] == {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}

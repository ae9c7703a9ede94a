import gc
import hashlib
import json
import os
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.hashing import hash_file
from tlvcli.io.safetensors_writer import write_safetensors

TENSORS = {
    "conv10.weight": torch.arange(12.0).reshape(3, 4),
    "conv9.weight": torch.ones(2, dtype=torch.bfloat16),
    "conv9.steps": torch.tensor(3),
}


def provenance(order: tuple[str, ...]) -> Provenance:
    return Provenance(
        architecture=Architecture(name="resnet18", num_classes=10),
        made_by=MadeBy(command="train", method="plain", tlv_version="0"),
        tensor_order=order,
    )


def names_of(path: Path) -> list[str]:
    return [spec.name for spec in open_checkpoint(path).specs]


def test_safetensors_in_natural_order(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(TENSORS, path, metadata={"format": "pt"})
    opened = open_checkpoint(path)
    assert [spec.name for spec in opened.specs] == ["conv9.weight", "conv9.steps", "conv10.weight"]
    assert (opened.order, opened.key, opened.prefix) == ("natural sort of the names", None, "")
    assert opened.metadata == {"format": "pt"}
    assert opened.provenance is None
    assert opened.num_bytes == path.stat().st_size
    for name, tensor in TENSORS.items():
        assert torch.equal(opened.read(name), tensor)
        assert opened.read(name).dtype == tensor.dtype


def test_order_from_our_metadata(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    ours = provenance(("removed.weight", *TENSORS))
    save_file(TENSORS, path, metadata={"tlv": ours.model_dump_json()})
    opened = open_checkpoint(path)
    assert (opened.provenance, opened.order) == (ours, "metadata")
    assert [spec.name for spec in opened.specs] == list(TENSORS)
    # A tensor that another tool added has no place in our order.
    save_file({**TENSORS, "added": torch.ones(1)}, path, metadata={"tlv": ours.model_dump_json()})
    assert open_checkpoint(path).order == "natural sort of the names"


@pytest.mark.parametrize("text", ["", "{", "[]", "1.2", '{"version": 3}', '{"architecture": "resnet18"}'])
def test_another_tools_idea_of_our_key(tmp_path: Path, text: str) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors", metadata={"tlv": text})
    opened = open_checkpoint(tmp_path / "a.safetensors")
    assert opened.provenance is None
    assert opened.metadata == {"tlv": text}


def test_order_of_a_pickle_is_that_of_the_file(tmp_path: Path) -> None:
    torch.save(TENSORS, tmp_path / "a.pt")
    assert names_of(tmp_path / "a.pt") == list(TENSORS)
    assert open_checkpoint(tmp_path / "a.pt").order == "file"


def test_reordered(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors")
    opened = open_checkpoint(tmp_path / "a.safetensors").reordered(tuple(TENSORS), "architecture x")
    assert ([spec.name for spec in opened.specs], opened.order) == (list(TENSORS), "architecture x")
    assert torch.equal(opened.read("conv9.weight"), TENSORS["conv9.weight"])


def test_prefixes_in_a_safetensors_file(tmp_path: Path) -> None:
    wrapped = {f"module.{name}": tensor for name, tensor in TENSORS.items()}
    save_file({**wrapped, "n_averaged": torch.tensor(4)}, tmp_path / "a.safetensors")
    opened = open_checkpoint(tmp_path / "a.safetensors")
    assert (opened.prefix, opened.ignored) == ("module.", ("n_averaged",))
    assert torch.equal(opened.read("conv10.weight"), TENSORS["conv10.weight"])


def test_a_key_means_nothing_to_safetensors(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors")
    with pytest.raises(TlvError) as caught:
        open_checkpoint(tmp_path / "a.safetensors", key="model")
    assert caught.value.error_id == "key-unknown"


def test_safetensors_without_tensors(tmp_path: Path) -> None:
    save_file({}, tmp_path / "a.safetensors")
    with pytest.raises(TlvError) as caught:
        open_checkpoint(tmp_path / "a.safetensors")
    assert caught.value.error_id == "no-tensors"


def test_reading_copies_nothing(tmp_path: Path) -> None:
    save_file(TENSORS, tmp_path / "a.safetensors")
    opened = open_checkpoint(tmp_path / "a.safetensors")
    assert opened.read("conv10.weight").data_ptr() == opened.read("conv10.weight").data_ptr()


def test_misaligned_tensors_of_other_writers(tmp_path: Path) -> None:
    header = {
        "byte": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "wide": {"dtype": "F64", "shape": [2], "data_offsets": [1, 17]},
    }
    text = json.dumps(header).encode()
    data = b"\x07" + struct.pack("<2d", 1.5, -2.0)
    (tmp_path / "a.safetensors").write_bytes(struct.pack("<Q", len(text)) + text + data)
    opened = open_checkpoint(tmp_path / "a.safetensors")
    assert opened.read("wide").tolist() == [1.5, -2.0]
    assert opened.read("byte").tolist() == [7]


def test_a_file_that_changes_under_the_reader(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(TENSORS, path)
    opened = open_checkpoint(path)
    save_file({"other": torch.ones(100)}, path)
    with pytest.raises(TlvError) as caught:
        opened.read("conv9.weight")
    assert caught.value.error_id == "checkpoint-changed"


def test_a_mapped_file_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(TENSORS, path)
    opened = open_checkpoint(path)
    opened.read("conv9.weight")
    write_safetensors(path, TensorsInMemory({}).specs, (), metadata={}, force=True)
    assert torch.equal(opened.read("conv10.weight"), TENSORS["conv10.weight"])


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc")
def test_the_pages_of_a_tensor_leave_memory_with_it(tmp_path: Path) -> None:
    num_tensors, num_floats = 16, 1 << 20
    tensors = ((f"{index}", torch.full((num_floats,), float(index))) for index in range(num_tensors))
    specs = TensorsInMemory({f"{index}": torch.empty(num_floats) for index in range(num_tensors)}).specs
    write_safetensors(tmp_path / "a.safetensors", specs, tensors, metadata={}, force=False)
    opened = open_checkpoint(tmp_path / "a.safetensors")
    gc.collect()
    before = resident_bytes()
    for index in range(num_tensors):
        assert opened.read(f"{index}").mean() == index
    assert resident_bytes() - before < 3 * 4 * num_floats
    kept: list[Tensor] = [opened.read(f"{index}") for index in range(num_tensors)]
    assert [tensor.mean().item() for tensor in kept] == list(range(num_tensors))


def test_hash_of_more_than_one_chunk(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    (tmp_path / "a").write_bytes(content)
    assert hash_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()
    (tmp_path / "a").write_bytes(b"")
    assert hash_file(tmp_path / "a") == hashlib.sha256().hexdigest()

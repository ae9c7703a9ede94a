"""The tensors of one file under the names that stand in it, before wrappers and order are thought of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.formats import CheckpointFormat
from tlvcli.io.left_out import LeftOut, weigh_all
from tlvcli.io.safetensors_data import bytes_reader, tensor_of_bytes
from tlvcli.io.safetensors_header import DTYPES, read_header
from tlvcli.io.shared_storage import SharedStorage, find_shared

if TYPE_CHECKING:
    from torch import Tensor

# Tied weights and expanded buffers count twice; a file of a kilobyte shall not become a terabyte when it is written.
FREE_BYTES = 50_000_000
MAX_RATIO = 20


@dataclass(frozen=True)
class StoredTensors:
    """What a file holds, or several files together: names as written, and how to read each tensor."""

    specs: tuple[TensorSpec, ...]
    files: tuple[Path, ...]
    num_bytes: int
    metadata: Mapping[str, str]
    reader: Callable[[str], Tensor]
    bytes_reader: Callable[[str], memoryview]
    left_out: tuple[LeftOut, ...] = ()
    shared: tuple[SharedStorage, ...] = ()


def stored_in_safetensors(path: Path) -> StoredTensors:
    """Read the header of a safetensors file, without torch; the tensors come from a memory map."""
    header = read_header(path)
    read = bytes_reader(path, header)
    specs = {spec.name: spec for spec in header.specs}
    return StoredTensors(
        specs=header.specs,
        files=(path,),
        num_bytes=header.identity.num_bytes,
        metadata=header.metadata,
        reader=lambda name: tensor_of_bytes(path, specs[name], read(name)),
        bytes_reader=read,
    )


def stored_in_torch_file(path: Path, format: CheckpointFormat) -> StoredTensors:
    """Load a pickle whose top level is names and tensors, as a shard is; other entries are left out."""
    from torch import Tensor

    from tlvcli.io.torch_files import load_torch_file

    content = load_torch_file(path, format)
    entries = content if isinstance(content, Mapping) else {}
    named = {
        name: Tensor.detach(value)
        for name, value in entries.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
    refuse_unusual(path, named)
    tensors = TensorsInMemory(named)
    return StoredTensors(
        specs=tensors.specs,
        files=(path,),
        num_bytes=path.stat().st_size,
        metadata={},
        reader=tensors.read,
        bytes_reader=tensors.read_bytes,
        left_out=weigh_all(path, [(str(name), value) for name, value in entries.items() if name not in named]),
        shared=find_shared(named),
    )


def refuse_unusual(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Raise `checkpoint-unsupported` unless every tensor is dense, has its data, and a dtype of safetensors.

    Nor may they say that they are far larger than the file, as views of one storage can.
    """
    for name, tensor in tensors.items():
        kind = _unusual(tensor)
        if kind:
            raise TlvError(
                "checkpoint-unsupported", f"{path} stores {name} {kind}", "save plain dense tensors of a usual dtype"
            )
    content, size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values()), path.stat().st_size
    if content > max(FREE_BYTES, MAX_RATIO * size):
        raise TlvError(
            "checkpoint-unsupported",
            f"{path} has {size} bytes, and tensors over each other of {content} bytes",
            "save each tensor with elements of its own",
        )


def _unusual(tensor: Tensor) -> str:
    import torch

    if tensor.is_meta:
        return "without its data (device meta)"
    if tensor.layout != torch.strided:
        return "as a sparse tensor"
    if tensor.is_quantized:
        return "as a quantized tensor"
    if str(tensor.dtype).removeprefix("torch.") not in DTYPES.values():
        return f"as {tensor.dtype}"
    return ""

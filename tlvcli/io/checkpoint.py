"""A checkpoint file: what it holds, in which order, and its tensors one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Provenance
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.formats import CheckpointFormat, recognise_format
from tlvcli.io.natural_order import natural_key
from tlvcli.io.safetensors_data import bytes_reader, tensor_of_bytes
from tlvcli.io.safetensors_header import DTYPES, read_header
from tlvcli.io.unwrap import split_prefix

if TYPE_CHECKING:
    from torch import Tensor

# Large enough that reading costs nothing beside hashing, small enough for the cache of a core.
_HASH_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class Checkpoint:
    """The named tensors of a file, without wrapper prefixes; a `TensorSource`.

    Args:
        path: the file.
        format: which format its content showed.
        specs: the tensors, in order.
        order: its origin: `file`, `metadata`, `natural sort of the names`, or as `reordered` says.
        key: the nest that was taken (`state_dict`, `model.ema`), None for the top level.
        prefix: what wrapped modules had put before every name, now stripped.
        alternatives: other nests with tensors that `--key` can name; `.` is the top level.
        ignored: names of all other entries, at the level taken and above.
        metadata: text from the header of a safetensors file.
        provenance: what tlv wrote about the file, None where another tool wrote it.
        num_bytes: size of the file.
        reader: gives a tensor by name, on the CPU.
        bytes_reader: gives a tensor's bytes in row-major order, of a safetensors file without torch.
    """

    path: Path
    format: CheckpointFormat
    specs: tuple[TensorSpec, ...]
    order: str
    key: str | None
    prefix: str
    alternatives: tuple[str, ...]
    ignored: tuple[str, ...]
    metadata: Mapping[str, str]
    provenance: Provenance | None
    num_bytes: int
    reader: Callable[[str], Tensor] = field(repr=False, compare=False)
    bytes_reader: Callable[[str], memoryview] = field(repr=False, compare=False)

    def read(self, name: str) -> Tensor:
        """Return one tensor on the CPU, as a view of the mapped file where possible; do not write into it."""
        return self.reader(name)

    def read_bytes(self, name: str) -> memoryview:
        """Return the bytes of one tensor, little-endian and in row-major order; do not write into them."""
        return self.bytes_reader(name)

    def reordered(self, names: Sequence[str], order: str) -> Checkpoint:
        """Return the same tensors in the order of `names`, which `order` gives the origin of."""
        specs = {spec.name: spec for spec in self.specs}
        assert sorted(specs) == sorted(names)
        return replace(self, specs=tuple(specs[name] for name in names), order=order)


def open_checkpoint(path: Path, *, key: str | None = None) -> Checkpoint:
    """Open a checkpoint of any format; of a safetensors file only the header is read, without torch.

    Args:
        path: the file, recognised by its content.
        key: the nest to take from a nested file; None takes the weights.

    Raises:
        TlvError: `checkpoint-*`, `no-tensors`, `key-unknown` or `key-needed`; nothing in the file was run.
    """
    format = recognise_format(path)
    if format == "safetensors":
        return _open_safetensors(path, key)
    return _open_torch_file(path, format, key)


def _open_safetensors(path: Path, key: str | None) -> Checkpoint:
    if key is not None:
        raise TlvError("key-unknown", f"{path} is a safetensors file, which has no nests", "leave out --key")
    header = read_header(path)
    if not header.specs:
        raise TlvError("no-tensors", f"{path} holds no tensors", "its header is whole, so it was written empty")
    provenance = _parse_provenance(header.metadata.get("tlv"))
    places = {name: place for place, name in enumerate(provenance.tensor_order if provenance else ())}
    if all(spec.name in places for spec in header.specs):
        ordered, order = sorted(header.specs, key=lambda spec: places[spec.name]), "metadata"
    else:
        ordered = sorted(header.specs, key=lambda spec: natural_key(spec.name))
        order = "natural sort of the names"
    prefix, beside = split_prefix([spec.name for spec in ordered])
    read = bytes_reader(path, header)
    specs = {spec.name: spec for spec in header.specs}
    return Checkpoint(
        path=path,
        format="safetensors",
        specs=tuple(
            replace(spec, name=spec.name[len(prefix) :]) if prefix else spec
            for spec in ordered
            if spec.name not in beside
        ),
        order=order,
        key=None,
        prefix=prefix,
        alternatives=(),
        ignored=tuple(sorted(beside)),
        metadata=header.metadata,
        provenance=provenance,
        num_bytes=header.identity.num_bytes,
        reader=lambda name: tensor_of_bytes(path, specs[prefix + name], read(prefix + name)),
        bytes_reader=lambda name: read(prefix + name),
    )


def _parse_provenance(text: str | None) -> Provenance | None:
    if text is None:
        return None
    try:
        return Provenance.model_validate_json(text)
    except ValidationError:  # another tool's idea of what the key `tlv` means
        return None


def _open_torch_file(path: Path, format: CheckpointFormat, key: str | None) -> Checkpoint:
    # Both need torch, which reading a safetensors header does without.
    from tlvcli.io.torch_files import load_torch_file
    from tlvcli.io.unwrap import unwrap

    unwrapped = unwrap(load_torch_file(path, format), path, key)
    for name, tensor in unwrapped.tensors.items():
        _refuse_unusual(path, name, tensor)
    tensors = TensorsInMemory(unwrapped.tensors)
    return Checkpoint(
        path=path,
        format=format,
        specs=tensors.specs,
        order="file",
        key=unwrapped.key,
        prefix=unwrapped.prefix,
        alternatives=unwrapped.alternatives,
        ignored=unwrapped.ignored,
        metadata={},
        provenance=None,
        num_bytes=path.stat().st_size,
        reader=tensors.read,
        bytes_reader=tensors.read_bytes,
    )


def _refuse_unusual(path: Path, name: str, tensor: Tensor) -> None:
    import torch

    if tensor.is_meta:
        kind = "without its data (device meta)"
    elif tensor.layout != torch.strided:
        kind = "as a sparse tensor"
    elif tensor.is_quantized:
        kind = "as a quantized tensor"
    elif str(tensor.dtype).removeprefix("torch.") not in DTYPES.values():
        kind = f"as {tensor.dtype}"
    else:
        return
    raise TlvError(
        "checkpoint-unsupported", f"{path} stores {name} {kind}", "save plain dense tensors of a usual dtype"
    )


def hash_file(path: Path) -> str:
    """Return the sha256 of a file, in hex; other threads run meanwhile."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_HASH_CHUNK_BYTES))
    with path.open("rb", buffering=0) as stream:
        while num_bytes := stream.readinto(buffer):
            digest.update(buffer[:num_bytes])
    return digest.hexdigest()

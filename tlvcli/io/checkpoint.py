"""A checkpoint: what it holds, in which order, and its tensors one at a time."""

from __future__ import annotations

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
from tlvcli.io.hashing import hash_files
from tlvcli.io.left_out import LeftOut
from tlvcli.io.natural_order import natural_key
from tlvcli.io.safetensors_header import ITEM_BYTES
from tlvcli.io.sharded import stored_in_shards
from tlvcli.io.shared_storage import SharedStorage, find_shared
from tlvcli.io.stored_tensors import StoredTensors, refuse_unusual, stored_in_safetensors
from tlvcli.io.unwrap import split_prefix

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Checkpoint:
    """The named tensors of a file, or of an index with its shards, without wrapper prefixes; a `TensorSource`.

    Args:
        path: the file, or the index.
        files: everything that was opened: the file alone, or index and shards.
        format: which format its content showed.
        specs: the tensors, in order.
        order: its origin: `file`, `metadata`, `natural sort of the names`, or as `reordered` says.
        key: the nest that was taken (`state_dict`, `model.ema`), None for the top level.
        prefix: what wrapped modules had put before every name, now stripped.
        alternatives: other nests with tensors that `--key` can name; `.` is the top level.
        ignored: names of all other entries, at the level taken and above.
        left_out: both of these, entry by entry of those levels, with the tensors in them.
        shared: tensors that are one in a pickle, as tied weights are.
        metadata: text from the header of a safetensors file, or from those of the shards.
        provenance: what tlv wrote about the file, None where another tool wrote it.
        num_bytes: size of the file, or the sum over all of them.
        reader: gives a tensor by name, on the CPU.
        bytes_reader: gives a tensor's bytes in row-major order, of a safetensors file without torch.
    """

    path: Path
    files: tuple[Path, ...]
    format: CheckpointFormat
    specs: tuple[TensorSpec, ...]
    order: str
    key: str | None
    prefix: str
    alternatives: tuple[str, ...]
    ignored: tuple[str, ...]
    left_out: tuple[LeftOut, ...]
    shared: tuple[SharedStorage, ...]
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


def open_checkpoint(path: Path, *, key: str | None = None, ema: bool = False) -> Checkpoint:
    """Open a checkpoint of any format; of safetensors files only the headers are read, without torch.

    Args:
        path: the file, recognised by its content; of a checkpoint in several files, the index.
        key: the nest to take from a nested file; None takes the weights.
        ema: whether to take their moving average instead.

    Raises:
        TlvError: `checkpoint-*`, `no-tensors`, `no-average`, `key-unknown` or `key-needed`; no code in the file ran.
    """
    format = recognise_format(path)
    if format == "safetensors":
        _refuse_nests(path, "is a safetensors file, which has no nests", key, ema=ema)
        return _of_stored(path, format, stored_in_safetensors(path))
    if format == "sharded":
        _refuse_nests(path, "is a sharded checkpoint, which has no nests", key, ema=ema)
        return _of_stored(path, format, stored_in_shards(path))
    return _open_torch_file(path, format, key, ema=ema)


def hash_checkpoint(checkpoint: Checkpoint) -> str:
    """Return the sha256 of the file; of a sharded one, of the lines that `sha256sum` prints for all its files."""
    return hash_files(checkpoint.files)


def _refuse_nests(path: Path, what: str, key: str | None, *, ema: bool) -> None:
    if key is not None:
        raise TlvError("key-unknown", f"{path} {what}", "leave out --key")
    if ema:
        raise TlvError("no-average", f"{path} {what}, and so no moving average", "leave out --ema")


def _of_stored(path: Path, format: CheckpointFormat, stored: StoredTensors) -> Checkpoint:
    if not stored.specs:
        raise TlvError("no-tensors", f"{path} holds no tensors", "its header is whole, so it was written empty")
    provenance = _parse_provenance(stored.metadata.get("tlv"))
    places = {name: place for place, name in enumerate(provenance.tensor_order if provenance else ())}
    if all(spec.name in places for spec in stored.specs):
        ordered, order = sorted(stored.specs, key=lambda spec: places[spec.name]), "metadata"
    else:
        ordered = sorted(stored.specs, key=lambda spec: natural_key(spec.name))
        order = "natural sort of the names"
    prefix, beside = split_prefix([spec.name for spec in ordered])
    counters = sorted((spec for spec in ordered if spec.name in beside), key=lambda spec: spec.name)
    left_out = (
        *(LeftOut(spec.name, 1, spec.num_elements * ITEM_BYTES[spec.dtype]) for spec in counters),
        *stored.left_out,
    )
    return Checkpoint(
        path=path,
        files=stored.files,
        format=format,
        specs=tuple(
            replace(spec, name=spec.name[len(prefix) :]) if prefix else spec
            for spec in ordered
            if spec.name not in beside
        ),
        order=order,
        key=None,
        prefix=prefix,
        alternatives=(),
        ignored=tuple(entry.name for entry in left_out),
        left_out=left_out,
        shared=tuple(
            replace(group, names=tuple(name[len(prefix) :] for name in group.names)) for group in stored.shared
        ),
        metadata=stored.metadata,
        provenance=provenance,
        num_bytes=stored.num_bytes,
        reader=lambda name: stored.reader(prefix + name),
        bytes_reader=lambda name: stored.bytes_reader(prefix + name),
    )


def _parse_provenance(text: str | None) -> Provenance | None:
    if text is None:
        return None
    try:
        return Provenance.model_validate_json(text)
    except ValidationError:  # another tool's idea of what the key `tlv` means
        return None


def _open_torch_file(path: Path, format: CheckpointFormat, key: str | None, *, ema: bool) -> Checkpoint:
    # Both need torch, which reading a safetensors header does without.
    from tlvcli.io.torch_files import load_torch_file
    from tlvcli.io.unwrap import unwrap

    unwrapped = unwrap(load_torch_file(path, format), path, key, ema=ema)
    refuse_unusual(path, unwrapped.tensors)
    tensors = TensorsInMemory(unwrapped.tensors)
    return Checkpoint(
        path=path,
        files=(path,),
        format=format,
        specs=tensors.specs,
        order="file",
        key=unwrapped.key,
        prefix=unwrapped.prefix,
        alternatives=unwrapped.alternatives,
        ignored=unwrapped.ignored,
        left_out=unwrapped.left_out,
        shared=find_shared(unwrapped.tensors),
        metadata={},
        provenance=None,
        num_bytes=path.stat().st_size,
        reader=tensors.read,
        bytes_reader=tensors.read_bytes,
    )

"""A safetensors file, written tensor by tensor; the library's writer wants all of them in memory at once."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tlvcli.core.graph import TensorSpec
from tlvcli.core.tensors import bytes_of_tensor, dtype_name
from tlvcli.io.atomic import atomic_file
from tlvcli.io.hashing import hash_file
from tlvcli.io.safetensors_header import DTYPES, ITEM_BYTES

if TYPE_CHECKING:
    from torch import Tensor

_CODES = {name: code for code, name in DTYPES.items()}


@dataclass(frozen=True)
class Place:
    """Where in an open file the elements of one tensor begin."""

    stream: BinaryIO
    offset: int
    spec: TensorSpec


def write_safetensors(
    path: Path,
    specs: Sequence[TensorSpec],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    metadata: Mapping[str, str],
    force: bool,
) -> str:
    """Write one tensor after the other, in whatever order they come, whole or not at all.

    The same tensors, specs and metadata give the same bytes, whatever that order.

    Args:
        path: the file.
        specs: every tensor that `tensors` will give, exactly once.
        tensors: names and values, on any device; one at a time is held.
        metadata: text that the header carries.
        force: whether an existing file may be replaced.

    Returns:
        The sha256 of the file, in hex.

    Raises:
        TlvError: `output-exists`, `output-not-writable` or `no-space`; the old file is untouched.
    """
    with atomic_file(path, force=force) as stream:
        write_tensors(write_header(stream, specs, metadata), tensors)
    # From the page cache: the bytes came in another order than a hash needs.
    return hash_file(path)


def write_header(stream: BinaryIO, specs: Sequence[TensorSpec], metadata: Mapping[str, str]) -> dict[str, Place]:
    """Write the header of a file that will hold `specs`, and return where each of them goes, by name."""
    header, offsets = _lay_out(specs, metadata)
    stream.write(header)
    return {spec.name: Place(stream, offsets[spec.name], spec) for spec in specs}


def write_tensors(places: Mapping[str, Place], tensors: Iterable[tuple[str, Tensor]]) -> None:
    """Write each tensor to its place; every place is filled exactly once, or it is a bug of ours."""
    waiting = dict(places)
    for name, tensor in tensors:
        place = waiting.pop(name)
        assert (tuple(tensor.shape), dtype_name(tensor)) == (place.spec.shape, place.spec.dtype), name
        place.stream.seek(place.offset)
        place.stream.write(bytes_of_tensor(tensor))
        del tensor  # or it would stay in memory while the next one is made
    assert not waiting, sorted(waiting)


def _lay_out(specs: Sequence[TensorSpec], metadata: Mapping[str, str]) -> tuple[bytes, dict[str, int]]:
    entries: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    places: dict[str, int] = {}
    end = 0
    # The format has no room for gaps, so the widest dtypes come first: each tensor then begins where it may.
    for spec in sorted(specs, key=lambda spec: -ITEM_BYTES[spec.dtype]):
        begin, end = end, end + spec.num_elements * ITEM_BYTES[spec.dtype]
        entries[spec.name] = {
            "dtype": _CODES[spec.dtype],
            "shape": list(spec.shape),
            "data_offsets": [begin, end],
        }
        places[spec.name] = begin
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    start = 8 + len(text)
    return struct.pack("<Q", len(text)) + text, {name: start + begin for name, begin in places.items()}

"""The header of a safetensors file: read strictly, with nothing but the standard library."""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.io.strict_json import JsonFaultError, parse_object

# A tenth of the format's own limit, and still a hundred bytes for each of a hundred thousand tensors: text takes up
# to nine times its bytes until it is parsed, and eight lying bytes shall not cost more than that.
MAX_HEADER_BYTES = 10_000_000
MAX_DIMENSIONS = 64
_MAX_NAME_CHARACTERS = 10_000

DTYPES = {
    "F64": "float64",
    "F32": "float32",
    "F16": "float16",
    "BF16": "bfloat16",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
    "C64": "complex64",
    "I64": "int64",
    "I32": "int32",
    "I16": "int16",
    "I8": "int8",
    "U64": "uint64",
    "U32": "uint32",
    "U16": "uint16",
    "U8": "uint8",
    "BOOL": "bool",
}

ITEM_BYTES = {
    name: 1 if name == "bool" or name.startswith("float8") else int("".join(filter(str.isdigit, name))) // 8
    for name in DTYPES.values()
}


@dataclass(frozen=True)
class FileIdentity:
    """What changes when a file is replaced or written to."""

    device: int
    inode: int
    num_bytes: int
    modified_ns: int

    @classmethod
    def of(cls, descriptor: int) -> FileIdentity:
        """Return the identity of an open file."""
        status = os.fstat(descriptor)
        return cls(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class SafetensorsHeader:
    """Tensors by place in the file, and where each begins; `offsets` are bytes from the start of the file."""

    specs: tuple[TensorSpec, ...]
    offsets: Mapping[str, int]
    metadata: Mapping[str, str]
    identity: FileIdentity


def read_header(path: Path) -> SafetensorsHeader:
    """Read the header and check that it accounts for every byte of the file exactly once.

    Raises:
        TlvError: `checkpoint-truncated` or `checkpoint-corrupt`.
    """
    with path.open("rb") as stream:
        identity = FileIdentity.of(stream.fileno())
        (length,) = struct.unpack("<Q", stream.read(8))
        if length > MAX_HEADER_BYTES:
            raise corrupt_file(path, f"says that its header is {length} bytes long; {MAX_HEADER_BYTES} is the most")
        if 8 + length > identity.num_bytes:
            raise _truncated(path, f"says that its header is {length} bytes long")
        raw = stream.read(length)
    entries = _parse(path, raw)
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise corrupt_file(path, "has metadata that is not a mapping from text to text")
    placed = sorted((_check_entry(path, name, entry) for name, entry in entries.items()), key=lambda place: place[1:])
    _check_places(path, placed, identity.num_bytes - 8 - length)
    return SafetensorsHeader(
        specs=tuple(spec for spec, _, _ in placed),
        offsets={spec.name: 8 + length + begin for spec, begin, _ in placed},
        metadata=metadata,
        identity=identity,
    )


def _parse(path: Path, raw: bytes) -> dict[str, Any]:
    try:
        return parse_object(raw)
    except JsonFaultError as error:
        raise corrupt_file(path, f"has a header {error}") from error


def _check_entry(path: Path, name: str, entry: Any) -> tuple[TensorSpec, int, int]:
    if len(name) > _MAX_NAME_CHARACTERS:
        raise corrupt_file(path, f"holds a tensor with a name of {len(name)} characters")
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        raise corrupt_file(path, f"describes {name} by something other than dtype, shape and data_offsets")
    code, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    dtype = DTYPES.get(code) if isinstance(code, str) else None
    if dtype is None:
        raise TlvError(
            "checkpoint-unsupported",
            f"{path} stores {name} as {_cut(code)}",
            "convert it to a dtype of torch",
        )
    if not _are_sizes(shape) or not _can_be_counted(shape):
        raise corrupt_file(path, f"gives {name} the shape {_cut(shape)}")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise corrupt_file(path, f"places {name} at {_cut(offsets)}")
    begin, end = offsets
    needed = math.prod(shape) * ITEM_BYTES[dtype]
    if end - begin != needed:
        raise corrupt_file(path, f"gives {name} {end - begin} bytes where {dtype} {shape} needs {needed}")
    return TensorSpec(name, tuple(shape), dtype), begin, end


def _are_sizes(values: Any) -> bool:
    # A bool is an int to Python; sizes beyond 63 bits are none to torch.
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 2**63 for value in values)


def _can_be_counted(shape: list[int]) -> bool:
    # torch counts in 63 bits, and leaves out zeros only at the end.
    return len(shape) <= MAX_DIMENSIONS and math.prod(max(size, 1) for size in shape) < 2**59


def _cut(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]}…"


def _check_places(path: Path, placed: list[tuple[TensorSpec, int, int]], num_bytes: int) -> None:
    reached, previous = 0, ""
    for spec, begin, end in placed:
        if begin < reached:
            raise corrupt_file(path, f"places {previous} and {spec.name} over the same bytes")
        if begin > reached:
            raise corrupt_file(path, f"leaves a hole of {begin - reached} bytes before {spec.name}")
        reached, previous = end, spec.name
    if reached > num_bytes:
        raise _truncated(path, f"should hold {reached} bytes of tensors")
    if reached < num_bytes:
        raise corrupt_file(path, f"is {num_bytes - reached} B too long: more follows after its last tensor")


def _truncated(path: Path, what: str) -> TlvError:
    return TlvError(
        "checkpoint-truncated",
        f"{path} {what}, but the file ends before that ({path.stat().st_size} bytes)",
        "the download or copy stopped early, or the file does not hold safetensors; fetch it again",
    )


def corrupt_file(path: Path, what: str) -> TlvError:
    """Return the error of a file that says of itself what cannot be; `what` goes on after its name."""
    return TlvError("checkpoint-corrupt", f"{path} {what}", "it is damaged or was written wrongly; fetch it again")

"""Pickles written by hand, instruction by instruction, and the three containers that torch.save has put them in."""

from __future__ import annotations

import io
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
STOP, MARK, REDUCE, TUPLE, EMPTY_TUPLE = b".", b"(", b"R", b"t", b")"


def text(value: str | bytes) -> bytes:
    raw = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value: int) -> bytes:
    if -(2**31) <= value < 2**31:
        return b"J" + struct.pack("<i", value)
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def name_of(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def call(function: bytes, *arguments: bytes) -> bytes:
    return function + MARK + b"".join(arguments) + TUPLE + REDUCE


def sizes(*values: int) -> bytes:
    return MARK + b"".join(map(number, values)) + TUPLE


def storage(key: str, num_elements: int, *, is_legacy: bool = False, kind: str = "FloatStorage") -> bytes:
    parts = [text("storage"), name_of("torch", kind), text(key), text("cpu"), number(num_elements)]
    return MARK + b"".join(parts) + (b"N" if is_legacy else b"") + TUPLE + b"Q"


def tensor(stored: bytes, shape: tuple[int, ...], stride: tuple[int, ...], *, offset: int = 0) -> bytes:
    hooks = name_of("collections", "OrderedDict") + EMPTY_TUPLE + REDUCE
    arguments = (stored, number(offset), sizes(*shape), sizes(*stride), b"\x89", hooks)
    return call(name_of("torch._utils", "_rebuild_tensor_v2"), *arguments)


def mapping(**entries: bytes) -> bytes:
    return b"}" + MARK + b"".join(text(name) + value for name, value in entries.items()) + b"u"


def program(body: bytes) -> bytes:
    return b"\x80\x02" + body + STOP


def in_zip(
    path: Path,
    body: bytes,
    records: Mapping[str, bytes] | None = None,
    *,
    folder: str = "archive",
    compression: int = zipfile.ZIP_STORED,
) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", compression) as archive:
        warnings.simplefilter("ignore")  # of names that come twice, which is the point of some
        archive.writestr(f"{folder}/data.pkl", program(body))
        archive.writestr(f"{folder}/version", b"3\n")
        for name, data in (records or {"data/0": bytes(16)}).items():
            archive.writestr(f"{folder}/{name}", data)
    return path


def in_legacy(path: Path, body: bytes, records: Mapping[str, bytes] | None = None) -> Path:
    data = records or {}
    heads = (number(MAGIC), number(VERSION), mapping(little_endian=b"\x88"), body)
    keys = b"]" + MARK + b"".join(map(text, data)) + b"e"
    numbers = b"".join(struct.pack("<q", len(raw) // 4) + raw for raw in data.values())
    path.write_bytes(b"".join(map(program, (*heads, keys))) + numbers)
    return path


def in_tar(path: Path, body: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in ("sys_info", "pickle", "tensors", "storages"):
            entry = tarfile.TarInfo(name)
            entry.size = len(program(body))
            archive.addfile(entry, io.BytesIO(program(body)))
    return path

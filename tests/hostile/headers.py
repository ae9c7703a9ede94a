"""safetensors files and indexes whose text lies about bytes, shapes, names or files."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from tests.hostile.case import Case

_CORRUPT = ("checkpoint-corrupt",)
_CUT_OFF = ("checkpoint-truncated",)
_UNSAFE = ("checkpoint-unsafe",)


def _entry(shape: Any = (2,), begin: Any = 0, end: Any = 8, dtype: Any = "F32") -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def _write(header: Any, num_bytes: int, length: int | None, folder: Path) -> Path:
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + bytes(num_bytes))
    return path


_ONE = b'"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}'
_HEADERS: dict[str, tuple[Any, int, int | None, tuple[str, ...]]] = {
    "a header of 2^62 bytes": ({"w": _entry()}, 8, 2**62, _CORRUPT),
    "a header of 2^64 - 1 bytes": ({"w": _entry()}, 8, 2**64 - 1, _CORRUPT),
    "a header of a gigabyte": ({"w": _entry()}, 8, 10**9, _CORRUPT),
    "a header longer than the file": ({"w": _entry()}, 8, 9_000_000, _CUT_OFF),
    "tensors that overlap": ({"a": _entry(), "b": _entry(begin=4, end=12)}, 12, None, _CORRUPT),
    "a tensor within a tensor": ({"a": _entry([4], 0, 16), "b": _entry(begin=4, end=12)}, 16, None, _CORRUPT),
    "tensors on the same bytes": ({"a": _entry(), "b": _entry()}, 8, None, _CORRUPT),
    "offsets beyond the file": ({"a": _entry(begin=2**40, end=2**40 + 8)}, 8, None, _CORRUPT),
    "offsets that run backwards": ({"a": _entry(begin=8, end=0)}, 8, None, _CORRUPT),
    "offsets below zero": ({"a": _entry(begin=-8, end=0)}, 8, None, _CORRUPT),
    "offsets of 2^64": ({"a": _entry(begin=2**64, end=2**64 + 8)}, 8, None, _CORRUPT),
    "more data than tensors": ({"a": _entry()}, 4096, None, _CORRUPT),
    "fewer data than tensors": ({"a": _entry([2**40], 0, 2**42)}, 8, None, _CUT_OFF),
    "a name that comes twice": (b"{%s,%s}" % (_ONE, _ONE), 1, None, _CORRUPT),
    "a key that comes twice": (b'{"a":{"dtype":"U8","shape":[1],"shape":[1],"data_offsets":[0,1]}}', 1, None, _CORRUPT),
    "text that is not UTF-8": (b'{"\xff\xfe":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1, None, _CORRUPT),
    "half a character": (b'{"\\ud800":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}', 1, None, _CORRUPT),
    "lists within lists": (b'{"a":' + b"[" * 200_000 + b"]" * 200_000 + b"}", 0, None, _CORRUPT),
    "mappings within mappings": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 0, None, _CORRUPT),
    "a number of a million digits": (b'{"a":' + b"9" * 1_000_000 + b"}", 0, None, _CORRUPT),
    "9 MB of empty lists": (b'{"a":[' + b"[]," * 3_000_000 + b"[]]}", 0, None, _CORRUPT),
    "9 MB of text with one wide character": ('{"a":"' + "x" * 9_000_000 + '\U0001f642"}', 0, None, _CORRUPT),
    "as many values as are allowed": (
        b'{"a":{%s}}' % b",".join(b'"%012d":1' % number for number in range(490_000)),
        0,
        None,
        _CORRUPT,
    ),
    "a size of zero beside 2^62": ({"a": _entry([0, 2**62, 2**62], 0, 0)}, 0, None, _CORRUPT),
    "a shape whose product overflows": ({"a": _entry([2**32, 2**32], 0, 0)}, 0, None, _CORRUPT),
    "a shape whose product overflows to the truth": ({"a": _entry([2**62, 4, 2])}, 8, None, _CORRUPT),
    "a shape of 100,000 ones": ({"a": _entry([1] * 100_000, 0, 4)}, 4, None, _CORRUPT),
    "a shape of 10,000 huge sizes": ({"a": _entry([2**62] * 10_000, 0, 0)}, 0, None, _CORRUPT),
    "a size below zero": ({"a": _entry([-2])}, 8, None, _CORRUPT),
    "a size of one and a half": ({"a": _entry([1.5])}, 6, None, _CORRUPT),
    "a size that is true": ({"a": _entry([True, 2])}, 8, None, _CORRUPT),
    "a size that is not a number": (b'{"a":{"dtype":"F32","shape":[NaN],"data_offsets":[0,8]}}', 8, None, _CORRUPT),
    "a dtype of a megabyte": ({"a": _entry(dtype="F" * 1_000_000)}, 8, None, ("checkpoint-unsupported",)),
    "a name of a megabyte": ({"a" * 1_000_000: _entry()}, 8, None, _CORRUPT),
    "metadata that is not text": ({"__metadata__": {"a": {"b": 1}}, "a": _entry()}, 8, None, _CORRUPT),
    "no tensors": ({}, 0, None, ("no-tensors",)),
    "a list": (b"[1]", 0, None, ("checkpoint-not-recognised",)),
}


def _million(folder: Path) -> Path:
    entries = ",".join(f'"{number}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for number in range(1_000_000))
    return _write(f"{{{entries}}}".encode(), 0, None, folder)


def _hundred_thousand(folder: Path) -> Path:
    entries = ",".join(f'"{number}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for number in range(100_000))
    return _write(f"{{{entries}}}".encode(), 0, None, folder)


def _sparse_terabyte(folder: Path) -> Path:
    path = _write({"a": _entry()}, 8, None, folder)
    with path.open("r+b") as stream:
        stream.truncate(1 << 40)
    return path


def _index(places: Any, folder: Path, name: str = "model.safetensors.index.json") -> Path:
    path = folder / name
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


def _index_of_a_link(target: str, folder: Path) -> Path:
    (folder / "shard.safetensors").symlink_to(target)
    return _index({"a": "shard.safetensors"}, folder)


def _index_of_a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "shard.safetensors")
    return _index({"a": "shard.safetensors"}, folder)


def _index_of_a_bomb(folder: Path) -> Path:
    _write({"w": _entry()}, 8, 2**62, folder)
    return _index({"w": "model.safetensors"}, folder)


_INDEXES: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "an index of the folder above": (partial(_index, {"a": "../model.safetensors"}), _UNSAFE),
    "an index of an absolute path": (partial(_index, {"a": "/etc/passwd"}), _UNSAFE),
    "an index of a path with a backslash": (partial(_index, {"a": "..\\model.safetensors"}), _UNSAFE),
    "an index of a name with a zero byte": (partial(_index, {"a": "model\0.safetensors"}), _UNSAFE),
    "an index of its folder": (partial(_index, {"a": "."}), _UNSAFE),
    "an index of itself": (partial(_index, {"a": "model.safetensors.index.json"}), _CORRUPT),
    "an index of a link out of its folder": (partial(_index_of_a_link, "/etc/passwd"), _UNSAFE),
    "an index of a link to itself": (partial(_index_of_a_link, "shard.safetensors"), ("checkpoint-shard-missing",)),
    "an index of a link to a device": (partial(_index_of_a_link, "/dev/zero"), _UNSAFE),
    "an index of a pipe": (_index_of_a_pipe, ("checkpoint-not-a-file",)),
    "an index of a hostile shard": (_index_of_a_bomb, _CORRUPT),
    "an index of 100,000 missing shards": (
        partial(_index, {f"w{number}": f"{number}.safetensors" for number in range(100_000)}),
        ("checkpoint-shard-missing",),
    ),
    "an index of numbers": (partial(_index, {"a": 1}), _CORRUPT),
}


def cases() -> Iterator[Case]:
    """Headers, files of a million tensors or a terabyte, and indexes."""
    for name, (header, num_bytes, length, error_ids) in _HEADERS.items():
        raw = header.encode() if isinstance(header, str) else header
        yield Case(name, partial(_write, raw, num_bytes, length), error_ids)
    yield Case("a million tensors", _million, _CORRUPT)
    yield Case("a hundred thousand tensors", _hundred_thousand, _CORRUPT)
    yield Case("a terabyte of zeros after the last tensor", _sparse_terabyte, _CORRUPT)
    for name, (write, error_ids) in _INDEXES.items():
        yield Case(name, write, error_ids)

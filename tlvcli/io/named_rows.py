"""Rows of numbers and the names that belong to them, in one safetensors file that is written as they come."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from tlvcli.core.graph import TensorSpec
from tlvcli.core.report import OutputInfo
from tlvcli.core.tensors import bytes_of_tensor, dtype_name
from tlvcli.io.atomic import atomic_file
from tlvcli.io.hashing import hash_file
from tlvcli.io.safetensors_writer import write_header

if TYPE_CHECKING:
    from torch import Tensor

_LENGTH = struct.calcsize("<Q")


def write_named_rows(
    path: Path,
    batches: Iterable[tuple[Tensor, Sequence[str]]],
    *,
    role: str,
    candidates: Sequence[str],
    metadata: Mapping[str, str],
    force: bool,
) -> OutputInfo:
    """Write `batches` of rows [n, width] float32 as one tensor called `role`, and their names as the tensor `paths`.

    That one is uint8: the bytes of each name in turn, each ended by a zero, so that no name is too odd and their
    number has no bound. The file is whole or not there; one batch is in memory at a time.

    Args:
        path: the file.
        batches: rows on any device, at least one in all, with a name for each.
        role: what the rows are.
        candidates: all names that may come, in any number up to these; not all need to.
        metadata: text that the header carries.
        force: whether an existing file may be replaced.

    Raises:
        TlvError: `output-exists`, `output-not-writable` or `no-space`; the old file is untouched.
    """
    names = bytearray()
    num_rows = width = reserved = 0
    with atomic_file(path, force=force) as stream:
        for rows, row_names in batches:
            assert (rows.ndim, dtype_name(rows), len(rows)) == (2, "float32", len(row_names))
            if not num_rows:
                width = rows.shape[1]
                # Room for the header of all rows: how many will come, nobody knows yet.
                most = sum(len(os.fsencode(name)) + 1 for name in candidates)
                reserved = len(_header(role, (len(candidates), width), most, metadata))
                stream.seek(reserved)
            assert rows.shape[1] == width
            stream.write(bytes_of_tensor(rows))
            names += b"".join(os.fsencode(name) + b"\0" for name in row_names)
            num_rows += len(rows)
        assert 0 < num_rows <= len(candidates)
        stream.write(names)
        _write_padded(stream, _header(role, (num_rows, width), len(names), metadata), reserved)
    return OutputInfo(role=role, path=str(path), sha256=hash_file(path))


def _header(role: str, shape: tuple[int, int], num_name_bytes: int, metadata: Mapping[str, str]) -> bytes:
    specs = (TensorSpec(role, shape, "float32"), TensorSpec("paths", (num_name_bytes,), "uint8"))
    stream = io.BytesIO()
    write_header(stream, specs, metadata)
    return stream.getvalue()


def _write_padded(stream: BinaryIO, header: bytes, num_bytes: int) -> None:
    """Write a header over exactly so many bytes; the format lets it end in spaces."""
    assert len(header) <= num_bytes
    text = header[_LENGTH:].ljust(num_bytes - _LENGTH)
    stream.seek(0)
    stream.write(struct.pack("<Q", len(text)) + text)

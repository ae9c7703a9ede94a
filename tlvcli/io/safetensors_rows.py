"""One tensor whose rows come a few at a time: written as they come, read from a memory map, checked by its hash."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.tensors import bytes_of_tensor, dtype_name
from tlvcli.io.atomic import atomic_file
from tlvcli.io.safetensors_writer import write_header
from tlvcli.io.stored_tensors import stored_in_safetensors

if TYPE_CHECKING:
    from torch import Tensor

_HASH = TensorSpec("sha256", (hashlib.sha256().digest_size,), "uint8")


def write_rows(path: Path, spec: TensorSpec, batches: Iterable[Tensor]) -> None:
    """Write a safetensors file with the tensor `spec`, of which `batches` gives the rows in order, and its sha256.

    Whole or not at all; one batch is in memory at a time.

    Raises:
        TlvError: `output-folder-missing`, `output-not-writable` or `no-space`.
    """
    digest = hashlib.sha256()
    num_rows = 0
    with atomic_file(path, force=True) as stream:
        places = write_header(stream, (spec, _HASH), {})
        stream.seek(places[spec.name].offset)
        for batch in batches:
            assert (tuple(batch.shape[1:]), dtype_name(batch)) == (spec.shape[1:], spec.dtype)
            raw = bytes_of_tensor(batch)
            digest.update(raw)
            stream.write(raw)
            num_rows += len(batch)
        assert num_rows == spec.shape[0], (num_rows, spec)
        stream.seek(places[_HASH.name].offset)
        stream.write(digest.digest())


def open_rows(path: Path, spec: TensorSpec) -> Tensor | None:
    """Return the tensor `spec` from a memory map of the file; None where there is no such file, or it is damaged.

    Do not write into it.
    """
    try:
        stored = stored_in_safetensors(path)
        if set(stored.specs) != {spec, _HASH}:
            return None
        if hashlib.sha256(stored.bytes_reader(spec.name)).digest() != bytes(stored.bytes_reader(_HASH.name)):
            return None
        return stored.reader(spec.name)
    # A file that is not even long enough for the length of a header is none of ours.
    except (OSError, TlvError, struct.error):
        return None

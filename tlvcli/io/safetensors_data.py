"""The tensors of a safetensors file, straight from a memory map."""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.io.safetensors_header import ITEM_BYTES, FileIdentity, SafetensorsHeader

if TYPE_CHECKING:
    from torch import Tensor


def tensor_reader(path: Path, header: SafetensorsHeader) -> Callable[[str], Tensor]:
    """Return a function that gives one tensor by name, without copying it where it is aligned.

    The pages of a tensor leave memory with it, so that reading all of a file, one after the other, needs the
    memory of the largest.

    Raises:
        TlvError: from the function, `checkpoint-changed` or `checkpoint-unsupported`.
    """
    specs = {spec.name: spec for spec in header.specs}

    @cache
    def mapped() -> mmap.mmap:
        return _map(path, header.identity)

    def read(name: str) -> Tensor:
        import torch

        spec = specs[name]
        dtype = getattr(torch, spec.dtype, None)
        if dtype is None:
            raise TlvError(
                "checkpoint-unsupported",
                f"{path} stores {name} as {spec.dtype}, which torch {torch.__version__} lacks",
                "install a newer torch",
            )
        if spec.num_elements == 0:
            return torch.empty(spec.shape, dtype=dtype)
        item_bytes = ITEM_BYTES[spec.dtype]
        raw = torch.frombuffer(
            _window(mapped(), header.offsets[name], spec.num_elements * item_bytes), dtype=torch.uint8
        )
        # Other writers may place a tensor where its dtype must not begin.
        aligned = raw if header.offsets[name] % item_bytes == 0 else raw.clone()
        return aligned.view(dtype).reshape(spec.shape)

    return read


def _map(path: Path, identity: FileIdentity) -> mmap.mmap:
    with path.open("rb") as stream:
        if FileIdentity.of(stream.fileno()) != identity:
            raise TlvError(
                "checkpoint-changed",
                f"{path} was changed while it was read",
                "run again when it is complete",
            )
        # Private, not read-only: torch warns of buffers that it could not write to.
        return mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_COPY)


def _window(mapping: mmap.mmap, begin: int, num_bytes: int) -> memoryview:
    window = memoryview(mapping)[begin : begin + num_bytes]
    # Whole pages only: the first and the last may belong to a neighbour too.
    first = -(-begin // mmap.PAGESIZE) * mmap.PAGESIZE
    length = (begin + num_bytes) // mmap.PAGESIZE * mmap.PAGESIZE - first
    if length > 0 and hasattr(mmap, "MADV_DONTNEED"):
        release = weakref.finalize(window, mapping.madvise, mmap.MADV_DONTNEED, first, length)
        release.atexit = False
    return window

"""The tensors of a safetensors file and their bytes, straight from a memory map."""

from __future__ import annotations

import mmap
import weakref
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.io.safetensors_header import ITEM_BYTES, FileIdentity, SafetensorsHeader

if TYPE_CHECKING:
    from torch import Tensor


def bytes_reader(path: Path, header: SafetensorsHeader) -> Callable[[str], memoryview]:
    """Return a function that gives the bytes of one tensor by name, as a view of the mapped file, without torch.

    The pages of a tensor leave memory with its view, so that reading all of a file, one tensor after the other,
    needs the memory of the largest.

    Raises:
        TlvError: from the function, `checkpoint-changed`.
    """
    num_bytes = {spec.name: spec.num_elements * ITEM_BYTES[spec.dtype] for spec in header.specs}

    @cache
    def mapped() -> mmap.mmap:
        return _map(path, header.identity)

    def read(name: str) -> memoryview:
        # An empty file cannot be mapped, and an empty tensor needs no map.
        return _window(mapped(), header.offsets[name], num_bytes[name]) if num_bytes[name] else memoryview(b"")

    return read


def tensor_of_bytes(path: Path, spec: TensorSpec, raw: memoryview) -> Tensor:
    """Return the tensor that `raw` holds, without copying it where it is aligned.

    Raises:
        TlvError: `checkpoint-unsupported` where this torch lacks the dtype.
    """
    import torch

    dtype = getattr(torch, spec.dtype, None)
    if dtype is None:
        raise TlvError(
            "checkpoint-unsupported",
            f"{path} stores {spec.name} as {spec.dtype}, which torch {torch.__version__} lacks",
            "install a newer torch",
        )
    if spec.num_elements == 0:
        return torch.empty(spec.shape, dtype=dtype)
    flat = torch.frombuffer(raw, dtype=torch.uint8)
    # Other writers may place a tensor where its dtype must not begin.
    aligned = flat if flat.data_ptr() % ITEM_BYTES[spec.dtype] == 0 else flat.clone()
    return aligned.view(dtype).reshape(spec.shape)


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

"""Where tensors come from, one at a time: a file, or a module in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from tlvcli.core.graph import TensorSpec

if TYPE_CHECKING:
    from torch import Tensor


class TensorSource(Protocol):
    """Named tensors in an order; `read` fetches one, so that a source larger than memory works."""

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of every tensor, in order."""
        ...

    def read(self, name: str) -> Tensor:
        """Return one tensor on the CPU; the caller must not write into it."""
        ...

    def read_bytes(self, name: str) -> memoryview:
        """Return the elements of one tensor, little-endian and in row-major order; not to be written into."""
        ...


@dataclass(frozen=True)
class TensorsInMemory:
    """A state_dict as a source."""

    tensors: Mapping[str, Tensor]

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Name, shape and dtype of every tensor, in the order of the mapping."""
        return tuple(TensorSpec(name, tuple(tensor.shape), dtype_name(tensor)) for name, tensor in self.tensors.items())

    def read(self, name: str) -> Tensor:
        """Return the tensor itself."""
        return self.tensors[name]

    def read_bytes(self, name: str) -> memoryview:
        """Return the elements of one tensor."""
        return bytes_of_tensor(self.tensors[name])


def dtype_name(tensor: Tensor) -> str:
    """Return the dtype as a word: `float32`, `bfloat16`, `float8_e4m3fn`, `int64`."""
    return str(tensor.dtype).removeprefix("torch.")


def bytes_of_tensor(tensor: Tensor) -> memoryview:
    """Return the elements of a tensor on any device as bytes, in row-major order; a view where possible."""
    import torch

    flat = tensor.detach().cpu().resolve_conj().resolve_neg().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data

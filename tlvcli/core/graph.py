"""What a network is, as far as its tensors say: named layers in order, with shapes and kinds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

LayerKind = Literal[
    "conv1d",
    "conv2d",
    "conv3d",
    "depthwise-conv2d",
    "conv-transpose",
    "linear",
    "batch-norm",
    "norm",
    "other",
]


@dataclass(frozen=True)
class TensorSpec:
    """Name, shape and dtype (`float32`, `bfloat16`, `int64`, ...) of one tensor, without its data."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def num_elements(self) -> int:
        """Number of elements; 1 for a scalar."""
        return math.prod(self.shape)

    @property
    def suffix(self) -> str:
        """Last part of the name: `weight` of `layer1.0.conv1.weight`."""
        return self.name.rpartition(".")[2]


@dataclass(frozen=True)
class Layer:
    """A leaf module with parameters or buffers; `tensors` are in the order of the state_dict."""

    name: str
    kind: LayerKind
    tensors: tuple[TensorSpec, ...]

    def find(self, suffix: str) -> TensorSpec | None:
        """Return the tensor whose name ends in `.suffix`, if the layer has one."""
        return next((tensor for tensor in self.tensors if tensor.suffix == suffix), None)


@dataclass(frozen=True)
class ModelGraph:
    """Layers in registration order, and which of their tensors are trainable parameters."""

    layers: tuple[Layer, ...]
    buffers: frozenset[str]

    def tensors(self) -> Iterator[TensorSpec]:
        """Yield every tensor, layer by layer."""
        for layer in self.layers:
            yield from layer.tensors

    def of_kind(self, *kinds: LayerKind) -> tuple[Layer, ...]:
        """Return the layers of these kinds, in order."""
        return tuple(layer for layer in self.layers if layer.kind in kinds)

    @property
    def num_parameters(self) -> int:
        """Number of elements of all tensors that are not buffers."""
        return sum(tensor.num_elements for tensor in self.tensors() if tensor.name not in self.buffers)

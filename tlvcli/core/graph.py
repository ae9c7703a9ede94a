"""What a network is, as far as its tensors say: named layers in order, with shapes and kinds."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from tlvcli.core.channels import ChannelGroups

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

    @property
    def leading(self) -> TensorSpec:
        """The tensor that a mapping maps and that the others follow: the weight, else the first one."""
        return self.find("weight") or self.tensors[0]


@dataclass(frozen=True)
class Module:
    """A module in the tree of modules, layers without parameters among them.

    `type` is the class of torch.nn that it is or descends from: `Conv2d`, `ReLU`, `Sequential`, `Module`.
    """

    name: str
    type: str
    children: tuple[Module, ...] = ()


@dataclass(frozen=True)
class ModelGraph:
    """Layers in registration order, and which of their tensors are no trainable parameters.

    `tree` is None where only the tensors are known: their names tell the layers, not what lies between them. So is
    `channels`, which follows the channels through the forward pass when it is first called.
    """

    layers: tuple[Layer, ...]
    buffers: frozenset[str]
    tree: Module | None = None
    channels: Callable[[], ChannelGroups] | None = field(default=None, compare=False, repr=False)

    def tensors(self) -> Iterator[TensorSpec]:
        """Yield every tensor, layer by layer."""
        for layer in self.layers:
            yield from layer.tensors

    def of_kind(self, *kinds: LayerKind) -> tuple[Layer, ...]:
        """Return the layers of these kinds, in order."""
        return tuple(layer for layer in self.layers if layer.kind in kinds)

    def without(self, names: Collection[str]) -> ModelGraph:
        """Return the graph without the layers of these names."""
        return replace(self, layers=tuple(layer for layer in self.layers if layer.name not in names))

    @property
    def num_parameters(self) -> int:
        """Number of elements of all tensors that are not buffers."""
        return sum(tensor.num_elements for tensor in self.tensors() if tensor.name not in self.buffers)

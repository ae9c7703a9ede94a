"""What a trace knows of the tensors in a forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

NONE = -1  # no channel: a height, a token, a constant


@dataclass(frozen=True)
class Value:
    """What is known of a tensor in the pass.

    Args:
        channels: the channel of every element, or NONE; as large as the tensor, in memory as small as it varies.
        axes: of a parameter, or a rearrangement of one, the channels of each dimension.
        parameter: the parameter's name.
        writers: tensors that make this one zero when they are zero.
        layer: the layer that has just computed this, with nothing but reshaping in between.
        after: the activation this comes from, pooling and reshaping aside.
        addition: the residual addition that has just computed this.
    """

    channels: Tensor
    axes: tuple[Tensor, ...] | None = None
    parameter: str | None = None
    writers: tuple[str, ...] = ()
    layer: str | None = None
    after: str | None = None
    addition: int | None = None


@dataclass(frozen=True)
class Call:
    """One operation as torch dispatches it: its name without overload, arguments and result."""

    name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    result: Any


def tensors_in(arguments: Any) -> list[Tensor]:
    """Return the tensors among arguments or results, in order."""
    return [leaf for leaf in tree_leaves(arguments) if isinstance(leaf, Tensor)]


def unknown(shape: Sequence[int]) -> Value:
    """Return the value of a tensor without channels."""
    return Value(torch.tensor(NONE).expand(tuple(shape)))


def repeat_axes(axes: tuple[Tensor, ...], shape: Sequence[int]) -> tuple[Tensor, ...] | None:
    """Return the axes of a parameter that was repeated to `shape` along new first dimensions, or None where not so."""
    new, old = shape[: -len(axes)], shape[len(shape) - len(axes) :]
    if [len(axis) for axis in axes] != list(old):
        return None
    return (*(torch.tensor(NONE).expand(size) for size in new), *axes)


def is_repeated(value: Value) -> bool:
    """Say whether this is a matrix of weights that was repeated for each of a batch."""
    return value.axes is not None and len(value.axes) == 3 and bool((value.axes[0] == NONE).all())


def along(channels: Tensor, dim: int, shape: Sequence[int]) -> Tensor:
    """Return `channels` [size] along one dimension of `shape`, the same everywhere else."""
    dim %= len(shape)
    return channels.view([-1 if other == dim else 1 for other in range(len(shape))]).expand(tuple(shape))


def spread_over(axes: tuple[Tensor, ...], shape: Sequence[int]) -> Tensor:
    """Return a channel for every element of a parameter: along its only long dimension, or else along its last."""
    if not shape:
        return torch.tensor(NONE)
    long = [dim for dim, size in enumerate(shape) if size > 1]
    dim = long[0] if len(long) == 1 else len(shape) - 1
    return along(axes[dim], dim, shape)


def narrow_where_equal(channels: Tensor, dims: Iterable[int]) -> Tensor | None:
    """Return `channels` with size 1 in `dims`, or None where they differ along one of them."""
    narrowed = channels
    for dim in dims:
        first = narrowed.narrow(dim, 0, 1)
        if not _is_same_along(narrowed, dim):
            return None
        narrowed = first
    return narrowed


def smallest(channels: Tensor) -> Tensor:
    """Return `channels` with size 1 in every dimension along which they are the same."""
    for dim in range(channels.dim() if channels.numel() else 0):
        if _is_same_along(channels, dim):
            channels = channels.narrow(dim, 0, 1)
    return channels


def _is_same_along(channels: Tensor, dim: int) -> bool:
    if channels.stride(dim) == 0 or channels.shape[dim] <= 1:
        return True
    first = channels.narrow(dim, 0, 1)
    # Most dimensions that differ do so at once.
    return torch.equal(first, channels.narrow(dim, 1, 1)) and torch.equal(channels, first.expand_as(channels))

"""Index maps, one for each dimension of a tensor: which source position every target position takes."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import TYPE_CHECKING

import torch

from tlvcli.core.plan import OWN, LayerMatch, Mapped, Operation, PlanRow, keep_row

if TYPE_CHECKING:
    from torch import Tensor

    from tlvcli.core.graph import TensorSpec


def centred(have: int, want: int) -> Tensor | None:
    """Return [want]: the middle of a larger source, or a smaller source in the middle of the target's own.

    An odd position left over is cut, or kept, at the end.
    """
    return None if have == want else placed(torch.arange(min(have, want)) + max(0, have - want) // 2, want)


def placed(positions: Tensor, want: int, *, start: int | None = None) -> Tensor:
    """Return [want]: the source positions in the middle, or from `start`; the target's own elsewhere."""
    begin = (want - len(positions)) // 2 if start is None else start
    index = torch.full((want,), OWN)
    index[begin : begin + len(positions)] = positions
    return index


def share_of(index: Tensor | None) -> float:
    """Return the share of entries that name a source position."""
    return 1.0 if index is None else float((index >= 0).double().mean())


def gathered(match: LayerMatch, maps: Sequence[Tensor | None]) -> Mapped:
    """Plan the layer's leading tensor by one map for each dimension; without any map it is copied."""
    assert match.source is not None
    tensor, source = match.target.leading, match.source.leading
    mapped = gather_tensor(tensor, source, maps, f"{match.reason}; {describe_change(source, tensor)}")
    output_dim = 1 if match.target.kind == "conv-transpose" else 0
    return Mapped(mapped.rows, mapped.arrays, outputs=maps[output_dim])


def gather_tensor(tensor: TensorSpec, source: TensorSpec, maps: Sequence[Tensor | None], reason: str) -> Mapped:
    """Plan one tensor by a map for each of its dimensions."""
    shares = [share_of(index) for index in maps]
    if 0.0 in shares:
        return Mapped((keep_row(tensor.name, tensor.shape, f"{reason}; no position of the source is taken"),))
    arrays = {f"{tensor.name}:index{dim}": index for dim, index in enumerate(maps) if index is not None}
    return Mapped((row(tensor, source, "gather" if arrays else "copy", {}, prod(shares), reason),), arrays)


def describe_change(source: TensorSpec, tensor: TensorSpec) -> str:
    """Return `same shape`, or both shapes: `64x3x7x7 -> 32x3x3x3`."""
    if source.shape == tensor.shape:
        return "same shape"
    return " -> ".join("x".join(map(str, spec.shape)) for spec in (source, tensor))


def row(
    tensor: TensorSpec,
    source: TensorSpec,
    operation: Operation,
    parameters: dict[str, int | float | str],
    transferred: float,
    reason: str,
) -> PlanRow:
    """Return the row that makes `tensor` from `source`."""
    return PlanRow(
        tensor=tensor.name,
        shape=tensor.shape,
        source=source.name,
        operation=operation,
        parameters=parameters,
        transferred=transferred,
        reason=reason,
    )

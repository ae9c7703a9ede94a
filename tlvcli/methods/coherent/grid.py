"""Carrying out `resize`: tables over a square of tokens or offsets, for a square of another size."""

from __future__ import annotations

from math import isqrt
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.core.tensors import TensorSource

if TYPE_CHECKING:
    from torch import Tensor


def resize_grid(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    """Return a table whose dimension `dim` holds `before` entries and a square, bicubically resized; indexed first.

    Position embeddings [1, class token and tokens, channels], tables of relative positions [offsets, heads].
    """
    assert row.source is not None
    value = source.read(row.source).float()
    dim, before = int(row.parameters["dim"]), int(row.parameters["before"])
    for other in range(value.dim()):
        index = plan.array(row, f"index{other}")
        if index is not None:
            value = value.index_select(other, index)
    lines = value.movedim(dim, -1)
    side, own_side = isqrt(lines.shape[-1] - before), isqrt(own.shape[dim] - before)
    square = lines[..., before:].reshape(1, -1, side, side)
    resized = F.interpolate(square, (own_side, own_side), mode="bicubic", antialias=own_side < side)
    return torch.cat([lines[..., :before], resized.reshape(*lines.shape[:-1], -1)], -1).movedim(-1, dim)

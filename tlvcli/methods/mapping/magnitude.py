"""Magnitude (DPIAT): a narrower target keeps the source's channels of the largest sum of |w|, in their order.

A wider target takes all of them as its first channels; kernels are clipped as in `clip`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tlvcli.core.plan import LayerMatch, Mapped
from tlvcli.methods.mapping.index_maps import centred, gathered, placed
from tlvcli.methods.mapping.options import MagnitudeOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor


def map_by_magnitude(
    match: LayerMatch, source: Tensor, target: Tensor, *, options: MagnitudeOptions, generator: Generator
) -> Mapped:
    """Plan a weight of any rank: its first two dimensions by magnitude, the others by their centre."""
    maps: list[Tensor | None] = []
    ranked = source
    for dim, (have, want) in enumerate(zip(source.shape, target.shape, strict=True)):
        if dim > 1:
            maps.append(centred(have, want))
        elif have > want:
            chosen = _strongest(ranked, dim, want, options)
            maps.append(chosen)
            ranked = ranked.index_select(dim, chosen) if options.fan_in == "chosen" else ranked
        else:
            maps.append(None if have == want else placed(torch.arange(have), want, start=0))
    return gathered(match, maps)


def _strongest(weight: Tensor, dim: int, count: int, options: MagnitudeOptions) -> Tensor:
    """Return [count] channels of a dimension in ascending order."""
    sums = weight.float().abs().movedim(dim, 0).reshape(weight.shape[dim], -1).sum(1)
    order = sums.argsort(descending=options.priority == "largest", stable=True)
    return order[:count].sort().values

"""Full (DPIAT): as clip, but where the source does not reach, positions of it drawn at random fill the target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from tlvcli.core.plan import LayerMatch, Mapped
from tlvcli.methods.mapping.index_maps import centred, gathered
from tlvcli.methods.options import NoOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor


def map_by_full(
    match: LayerMatch, source: Tensor, target: Tensor, *, options: NoOptions, generator: Generator
) -> Mapped:
    """Plan a weight of any rank; nothing of the target's own stays, and doubled inputs are not scaled down."""
    return gathered(match, [_filled(*sizes, generator) for sizes in zip(source.shape, target.shape, strict=True)])


def _filled(have: int, want: int, generator: Generator) -> Tensor | None:
    index = centred(have, want)
    if index is None or have > want:
        return index
    return index.where(index >= 0, torch.randint(have, (want,), generator=generator))

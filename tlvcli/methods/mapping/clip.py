"""Clip (DPIAT): the centre of a larger source, or a smaller source in the centre, in every dimension alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.core.plan import LayerMatch, Mapped
from tlvcli.methods.mapping.index_maps import centred, gathered
from tlvcli.methods.options import NoOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor


def map_by_clip(
    match: LayerMatch, source: Tensor, target: Tensor, *, options: NoOptions, generator: Generator
) -> Mapped:
    """Plan a weight of any rank; the target keeps its own values where the source does not reach."""
    return gathered(match, [centred(have, want) for have, want in zip(source.shape, target.shape, strict=True)])

"""The augmentation of small images, a batch at a time: shifted by a few pixels, and mirrored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class Shifts:
    """What is done to each image: `offsets` [n, 2] in pixels down and right, `mirrored` [n] whether it is."""

    offsets: Tensor
    mirrored: Tensor


def draw_shifts(num_images: int, padding: int, *, mirrors: bool, generator: torch.Generator) -> Shifts:
    """Draw offsets uniform in -padding .. padding, and a mirror for every second image where one is allowed."""
    import torch

    offsets = torch.randint(-padding, padding + 1, (num_images, 2), generator=generator)
    mirrored = torch.rand(num_images, generator=generator) < 0.5
    return Shifts(offsets, mirrored & mirrors)


def shift_images(stored: Tensor, positions: Tensor, shifts: Shifts) -> Tensor:
    """Return uint8 [n, channels, side, side]: the images at `positions`, shifted; the border is reflected.

    `stored` is uint8 [images, side, side, channels]; it is only read at `positions`.
    """
    side, channels = stored.shape[1], stored.shape[3]
    rows = _reflected(shifts.offsets[:, 0], side)
    columns = _reflected(shifts.offsets[:, 1], side)
    columns = columns.where(~shifts.mirrored[:, None], columns.flip(1))
    # One look-up per pixel, by its number in the whole store: several times faster than an index per axis.
    pixels = (positions[:, None, None] * side + rows[:, :, None]) * side + columns[:, None, :]  # [n, side, side]
    taken = stored.view(-1, channels).index_select(0, pixels.flatten())
    return taken.view(len(positions), side, side, channels).permute(0, 3, 1, 2).contiguous()


def _reflected(offsets: Tensor, side: int) -> Tensor:
    """Return which row or column [n, side] is seen where the window has moved by `offsets` [n]."""
    import torch

    seen = (offsets[:, None] + torch.arange(side)).abs()
    return (side - 1) - ((side - 1) - seen).abs()

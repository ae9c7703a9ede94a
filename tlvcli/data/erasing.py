"""Random erasing (Zhong et al. 2020): some images of a batch lose a rectangle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlvcli.core.runtime import make_generator
from tlvcli.data.augmentation import ErasingMode

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# The rectangle's share of the image, and its height over its width; timm's limits.
_AREA = (0.02, 1 / 3)
_ASPECT = (0.3, 1 / 0.3)
# A rectangle as long as the image is drawn again; fewer than one in a hundred is, and the fourth try never failed.
_TRIES = 4


def draw_rectangles(num_images: int, probability: float, side: int, generator: torch.Generator) -> Tensor:
    """Return top, left, height and width in pixels [num_images, 4], all 0 for images that stay whole.

    `side` is that of the square images; areas and log aspect ratios are uniform.
    """
    import torch

    drawn = torch.rand(num_images, 3 + 2 * _TRIES, generator=generator)
    chosen, places = drawn[:, 0] < probability, drawn[:, 1:3]
    areas, aspects = drawn[:, 3:].chunk(2, dim=1)
    areas = (_AREA[0] + (_AREA[1] - _AREA[0]) * areas) * side**2
    low, high = (math.log(limit) for limit in _ASPECT)
    aspects = (low + (high - low) * aspects).exp()
    tried = torch.stack([(areas * aspects).sqrt(), (areas / aspects).sqrt()], dim=-1).round().long()  # [n, tries, 2]
    fits = (tried < side).all(-1)
    first = fits.int().argmax(1)[:, None, None].expand(-1, 1, 2)
    sizes = tried.gather(1, first).squeeze(1)
    corners = (places * (side + 1 - sizes)).long()
    return torch.cat([corners, sizes], dim=1) * (chosen & fits.any(1))[:, None]


def erase(
    images: Tensor, rectangles: Tensor, mode: ErasingMode, *, seed: int, epoch: int, places: Sequence[int]
) -> Tensor:
    """Return normalised images [n, c, h, w] with their `rectangles` [n, 4] filled: with 0, the mean, or with noise.

    The noise of an image depends on its place in the epoch, not on the batch that it came in.
    """
    import torch

    erased = images.clone()
    for number in rectangles[:, 2].nonzero().flatten().tolist():
        top, left, height, width = rectangles[number].tolist()
        area = erased[number, :, top : top + height, left : left + width]
        if mode == "constant":
            area.zero_()
        else:
            noise = make_generator(seed, "erasing", epoch, places[number])
            area.copy_(torch.randn(area.shape, generator=noise), non_blocking=True)
    return erased

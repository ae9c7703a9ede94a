"""Where a measure would lie on other images of the same kind, with 95 % confidence."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import TYPE_CHECKING

from tlvcli.methods.metrics.classification import averages, sum_once, sum_up
from tlvcli.methods.metrics.image_scores import ImageScores

if TYPE_CHECKING:
    import torch
    from torch import Tensor

LEVEL = 0.95
_Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
# Weights held at once, of images times resamples; 16 MB.
_AT_ONCE = 2**21


def wilson_interval(hits: int, images: int) -> tuple[float, float]:
    """Return the score interval of a share (Wilson 1927): within 0 to 1, and of some width even at its ends."""
    share, z2 = hits / images, _Z * _Z
    centre = (share + z2 / (2 * images)) / (1 + z2 / images)
    half = _Z / (1 + z2 / images) * math.sqrt(share * (1 - share) / images + z2 / (4 * images * images))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_intervals(
    scores: ImageScores, resamples: int, generator: torch.Generator
) -> dict[str, tuple[float, float]]:
    """Return the bias-corrected percentile intervals (Efron 1981) of all `averages`.

    Calibration errors need the correction: noise widens gaps, so that those of resamples lie above their own.
    """
    import torch

    found = averages(sum_once(scores))
    at_once = max(1, _AT_ONCE // len(scores))
    parts = [
        averages(sum_up(scores, _draw_weights(len(scores), min(at_once, resamples - begin), generator)))
        for begin in range(0, resamples, at_once)
    ]
    return {
        name: _corrected(torch.cat([part[name] for part in parts]), float(value[0])) for name, value in found.items()
    }


def _draw_weights(images: int, resamples: int, generator: torch.Generator) -> Tensor:
    """Return how often each image is drawn, [images, resamples] float64, when as many are drawn with replacement."""
    import torch

    drawn = torch.randint(images, (images, resamples), generator=generator)
    places = drawn * resamples + torch.arange(resamples)
    return torch.bincount(places.flatten(), minlength=images * resamples).reshape(images, resamples).double()


def _corrected(values: Tensor, found: float) -> tuple[float, float]:
    import torch

    below = (values < found).double().mean() + (values == found).double().mean() / 2
    # At most half a resample short of all or none of them.
    bias = torch.special.ndtri(below.clamp(0.5 / len(values), 1 - 0.5 / len(values)))
    levels = torch.special.ndtr(2 * bias + torch.tensor([-_Z, _Z], dtype=torch.float64))
    low, high = torch.quantile(values, levels).tolist()
    return low, high

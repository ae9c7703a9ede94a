"""Mean and variance of every channel, over as many batches as come."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from tlvcli.core.errors import TlvError
from tlvcli.methods.statistics.moments import pool_moments

# A channel is constant where it spreads by less than this share of its mean: float32 shows no less.
_ROUNDING = 1e-6


@dataclass(frozen=True)
class ChannelMoments:
    """Of `count` values a channel: means and sums of squared deviations [channels, 2], in double precision."""

    count: int
    moments: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean of each channel [channels]."""
        return self.moments[:, 0]

    @property
    def variance(self) -> Tensor:
        """Variance of each channel [channels], with `count` as its divisor."""
        return self.moments[:, 1] / self.count

    @property
    def is_constant(self) -> Tensor:
        """Which channels have the same value everywhere [channels]."""
        return self.variance <= (_ROUNDING * self.mean).square()

    @property
    def std(self) -> float:
        """Standard deviation of all values of all channels together."""
        return math.sqrt(float(self.variance.mean() + self.mean.var(correction=0)))


def channel_moments(values: Tensor, dim: int, layer: str) -> ChannelMoments:
    """Return the moments of a batch whose channels are dimension `dim`.

    Raises:
        TlvError: `activations-not-finite`, naming the layer.
    """
    others = [other for other in range(values.dim()) if other != dim % values.dim()]
    variance, mean = torch.var_mean(values.float(), others, correction=0)
    count = values.numel() // values.shape[dim]
    moments = torch.stack([mean.double(), variance.double() * count], dim=1)
    if not bool(moments.isfinite().all()):
        raise TlvError(
            "activations-not-finite",
            f"{layer}: an activation is NaN or infinite",
            "tlv inspect --stats shows broken weights",
        )
    return ChannelMoments(count, moments)


def pooled(one: ChannelMoments | None, other: ChannelMoments) -> ChannelMoments:
    """Return the moments of both together."""
    if one is None:
        return other
    counts = torch.tensor([one.count, other.count], dtype=torch.float64, device=one.moments.device)
    moments = pool_moments(counts, torch.stack([one.moments, other.moments]))
    return ChannelMoments(one.count + other.count, moments)

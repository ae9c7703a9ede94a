"""Fixed common bins of magnitudes, found from the bits of a float32 without a logarithm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# A float32 without its sign is an integer that grows with the number: exponent, then 23 bits of mantissa.
_MANTISSA, _BIAS = 23, 127


@dataclass(frozen=True)
class Bins:
    """From 2^low to 2^high, each octave cut into 2^split bins of equal width.

    Columns of a histogram: zeros, numbers below 2^low, the bins, numbers of 2^high and more.
    """

    low: int
    high: int
    split: int

    @property
    def columns(self) -> int:
        """Number of columns of a histogram."""
        return ((self.high - self.low) << self.split) + 3

    @property
    def _shift(self) -> int:
        return _MANTISSA - self.split

    def edges(self) -> Tensor:
        """Return the edges of the bins between, as magnitudes, float64 [columns - 2]."""
        first = (self.low + _BIAS) << self.split
        codes = torch.arange(first, first + self.columns - 2, dtype=torch.int32)
        return (codes << self._shift).view(torch.float32).double()

    def positions(self) -> Tensor:
        """Return where the mass of each column lies on the log scale, float64 [columns], ascending.

        Bins: the middle. Zeros and what is below 2^low: log 2^low. What is above: log 2^high.
        """
        logs = self.edges().log()
        ends = torch.tensor([self.low, self.high], dtype=torch.float64) * math.log(2)
        return torch.cat([ends[:1], ends[:1], (logs[1:] + logs[:-1]) / 2, ends[1:]])

    def count(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Return histograms of the magnitudes of `rows` [r, values], int32 [r, columns], and whether all are finite."""
        codes = rows.float().abs().view(torch.int32) >> self._shift
        is_finite = codes.amax() < (2 * _BIAS + 1) << self.split
        is_zero = codes == 0
        codes -= ((self.low + _BIAS) << self.split) - 2
        columns = codes.clamp_(1, self.columns - 1).masked_fill_(is_zero, 0).long()
        columns += torch.arange(len(rows), device=rows.device)[:, None] * self.columns
        counts = torch.zeros(len(rows) * self.columns, dtype=torch.int32, device=rows.device)
        counts.scatter_add_(0, columns.flatten(), counts.new_ones(1).expand(columns.numel()))
        return counts.reshape(len(rows), self.columns), is_finite


# From about the 1e-4 that the log-normal model adds, to 2048.
ACTIVATION_BINS = Bins(low=-13, high=11, split=2)
# Products of two activations.
GRAM_BINS = Bins(low=-26, high=22, split=1)

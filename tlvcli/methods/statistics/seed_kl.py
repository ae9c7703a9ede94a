"""Becker's own similarity of two kernels, as published."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tlvcli.core.config import Config
from tlvcli.methods.statistics.summary import LayerSummary

_BINS = 10
# The original divides by 0 where both histograms agree; a report holds numbers only.
_LARGEST = 1e12
# Its window: similarities between these are "generalised".
DEFAULT_THRESHOLD, UPPER_END = 0.1, 1.0


def seed_kl(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return 1 / KL(target || source) per kernel, [C], as YuvalBecker/Statistics-pretrained computes it at 68eb306.

    Ten bins of log|a + 1e-4|, each set over its own range; counts are smoothed to whole numbers and not normalised, so
    the divergence may be infinite (similarity 0) or negative. Beyond 1e12 the similarity is cut.
    """
    p, q = _smoothed(target), _smoothed(source)
    with np.errstate(divide="ignore", invalid="ignore"):
        divergence = np.where(p != 0, p * np.log(p / q), 0).sum(-1)
        similarity = 1 / divergence
    return torch.from_numpy(np.clip(similarity, -_LARGEST, _LARGEST))


def _smoothed(summary: LayerSummary) -> NDArray[np.float64]:
    from scipy.ndimage import gaussian_filter1d

    assert summary.samples is not None
    logs = torch.cat([summary.samples[number] for number in sorted(summary.samples)], dim=1).log()
    counts = _histograms(logs).numpy()
    # Into integers, as the original's filter does: the fraction is cut off.
    smooth: NDArray[np.int64] = gaussian_filter1d(counts, 1, axis=-1, output=np.int64)
    return smooth.astype(np.float64)


def _histograms(rows: Tensor) -> Tensor:
    """Ten bins over each row's own range, as numpy.histogram counts them: the last one includes its upper edge."""
    low, high = rows.amin(-1), rows.amax(-1)
    is_flat = low == high
    low, high = torch.where(is_flat, low - 0.5, low), torch.where(is_flat, high + 0.5, high)
    steps = torch.arange(_BINS + 1, dtype=torch.float64)
    edges = low[:, None] + steps * ((high - low) / _BINS)[:, None]
    edges[:, -1] = high
    columns = torch.searchsorted(edges, rows, right=True).sub_(1).clamp_(0, _BINS - 1)
    counts = torch.zeros(len(rows), _BINS, dtype=torch.int64)
    return counts.scatter_add_(1, columns, torch.ones_like(columns))

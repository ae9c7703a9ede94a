"""Fréchet distance of two layers: normal distributions fitted to the images' channel means."""

from __future__ import annotations

import torch
from torch import Tensor

from tlvcli.core.config import Config
from tlvcli.methods.statistics.summary import LayerSummary


def frechet(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), [...] (Dowson and Landau 1982).

    Covariances divide by n - 1. Of fewer images than channels they are singular, and the distance is large without any
    difference: compare it with its null, not with 0.
    """
    assert source.image_moments is not None
    assert target.image_moments is not None
    gap = source.image_moments[..., 0] - target.image_moments[..., 0]
    root = _root(source)
    # tr (C1 C2)^(1/2) = tr (R C2 R^T)^(1/2) with C1 = R^T R.
    if target.deviations is not None:
        half = root @ target.deviations.transpose(-1, -2)
        middle = half @ half.transpose(-1, -2)
    else:
        assert target.scatter is not None
        middle = root @ target.scatter @ root.transpose(-1, -2)
    cross = torch.linalg.eigvalsh(middle / (target.num_images - 1)).clamp(min=0).sqrt().sum(-1)
    distance = gap.square().sum(-1) + _total_variance(source) + _total_variance(target) - 2 * cross
    return torch.clamp(distance, min=0)


def _root(summary: LayerSummary) -> Tensor:
    """R of shape [..., r, C] with C = R^T R."""
    scale = (summary.num_images - 1) ** -0.5
    if summary.deviations is not None:
        return torch.mul(summary.deviations, scale)
    assert summary.scatter is not None
    values, vectors = torch.linalg.eigh(summary.scatter)
    root: Tensor = values.clamp(min=0).sqrt()[:, None] * vectors.T * scale
    return root


def _total_variance(summary: LayerSummary) -> Tensor:
    assert summary.image_moments is not None
    return torch.div(summary.image_moments[..., 1].sum(-1), summary.num_images - 1)

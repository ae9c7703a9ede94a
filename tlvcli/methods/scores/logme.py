"""LogME: the evidence of a Bayesian linear model from features to each class (You et al. 2021, arXiv 2102.11005)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from tlvcli.methods.scores.spectrum import spectrum

if TYPE_CHECKING:
    from torch import Tensor

_MOST_ROUNDS = 11
_TOLERANCE = 1e-2


def logme(features: Tensor, labels: Tensor) -> float:
    """Return the log evidence per image, mean over the classes, each against the rest.

    The prior's precision a and the noise's b maximise it by the paper's fixed point, at most 11 rounds or until a / b
    changes by less than 1 %. Dimensions that the images do not span count with eigenvalue 0, so that more dimensions
    than images need no case of their own.
    """
    import torch
    from torch.nn.functional import one_hot

    num_images, num_dimensions = features.shape
    basis, eigenvalues = spectrum(features)  # [n, rank], [rank]
    targets = one_hot(labels).to(features)  # [n, classes]
    parts = (basis.T @ targets).square()  # [rank, classes]: of the targets, along each direction
    beyond = (targets.square().sum(dim=0) - parts.sum(dim=0)).clamp(min=0)  # [classes]: what no direction reaches
    spread = eigenvalues[:, None]

    ratio = torch.ones_like(beyond)  # a / b
    prior, noise, weights, residual = (torch.zeros_like(beyond) for _ in range(4))
    is_open = torch.ones_like(beyond, dtype=torch.bool)
    for _ in range(_MOST_ROUNDS):
        effective = (spread / (spread + ratio)).sum(dim=0)
        weights = torch.where(is_open, (spread * parts / (spread + ratio).square()).sum(dim=0), weights)
        residual = torch.where(is_open, (parts * (ratio / (spread + ratio)).square()).sum(dim=0) + beyond, residual)
        prior = torch.where(is_open, effective / weights, prior)
        noise = torch.where(is_open, (num_images - effective) / residual, noise)
        change = (prior / noise - ratio).abs() / ratio
        ratio = torch.where(is_open, prior / noise, ratio)
        is_open = is_open & (change > _TOLERANCE)

    log_determinant = (prior + noise * spread).log().sum(dim=0) + (num_dimensions - len(eigenvalues)) * prior.log()
    evidence = (
        num_dimensions * prior.log()
        + num_images * noise.log()
        - log_determinant
        - noise * residual
        - prior * weights
        - num_images * math.log(2 * math.pi)
    ) / (2 * num_images)
    return float(evidence.mean())

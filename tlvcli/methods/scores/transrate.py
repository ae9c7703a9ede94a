"""TransRate: how much shorter features are coded once their class is known (Huang et al. 2022, arXiv 2106.09362)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

_DISTORTION = 1e-4


def transrate(features: Tensor, labels: Tensor) -> float:
    """Return the coding rate of the centred features less the mean rate of each class, in nats.

    It grows with the scale of the features: it compares what one kind of network gives, not any two.
    """
    centred = features - features.mean(dim=0)
    # Classes have as many rows as images, so that there is no tensor of them all.
    rates = [_coding_rate(centred[labels == label]) for label in range(int(labels.max()) + 1)]
    return _coding_rate(centred) - sum(rates) / len(rates)


def _coding_rate(features: Tensor) -> float:
    """Return 1/2 log det(I + F'F / (n eps)) with eps = 1e-4, from the smaller of F'F and FF', which agree."""
    import torch

    num_images, num_dimensions = features.shape
    gram = features @ features.T if num_images <= num_dimensions else features.T @ features
    scaled = gram / (num_images * _DISTORTION)
    return float(torch.linalg.slogdet(scaled + torch.eye(len(gram)).to(gram)).logabsdet / 2)

"""The directions that images span in a space of features, from the smaller of the two Gram matrices."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def spectrum(features: Tensor) -> tuple[Tensor, Tensor]:
    """Return the left singular vectors [n, rank] of features [n, dimensions], and their squared singular values.

    What is below rounding is no direction. Float64, as a Gram matrix has the square of the features' range.
    """
    import torch

    num_images, num_dimensions = features.shape
    is_wide = num_images <= num_dimensions
    gram = features @ features.T if is_wide else features.T @ features
    eigenvalues, vectors = torch.linalg.eigh(gram)
    rounding = max(num_images, num_dimensions) * torch.finfo(features.dtype).eps
    kept = eigenvalues > eigenvalues[-1] * rounding
    eigenvalues, vectors = eigenvalues[kept], vectors[:, kept]
    return (vectors if is_wide else features @ vectors / eigenvalues.sqrt()), eigenvalues

"""H-score: the spread of the class means in units of the features' spread (Bao et al. 2019), and as regularised.

In the coordinates of the images' own directions both covariances are sums over them, and none is ever inverted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.methods.scores.spectrum import spectrum

if TYPE_CHECKING:
    from torch import Tensor


def h_score(features: Tensor, labels: Tensor) -> float:
    """Return tr(cov(f)^+ cov(E[f | y])), between 0 and the number of classes less 1.

    With no more images than dimensions every class lies apart from every other, and the score is the largest one
    whatever the features are worth; `regularised_h_score` is then the one to look at.
    """
    basis, _ = spectrum(features - features.mean(dim=0))
    return float(_between_classes(basis, labels).sum())


def regularised_h_score(features: Tensor, labels: Tensor) -> float:
    """Return (1 - s) tr(C^-1 cov(E[f | y])), C the Ledoit-Wolf estimate of the covariance, s its shrinkage.

    Ibrahim et al. 2021 (arXiv 2110.06893), as their published code has it: C is divided by n, the covariance of the
    class means by n - 1.
    """
    num_images, num_dimensions = features.shape
    centred = features - features.mean(dim=0)
    basis, eigenvalues = spectrum(centred)
    variances = eigenvalues / num_images  # of the covariance; the other eigenvalues are 0
    mean_variance = variances.sum() / num_dimensions
    shrinkage = _shrinkage(centred, variances)
    estimated = (1 - shrinkage) * variances + shrinkage * mean_variance
    between = _between_classes(basis, labels) * eigenvalues / (num_images - 1)
    return float((1 - shrinkage) * (between / estimated).sum())


def _between_classes(basis: Tensor, labels: Tensor) -> Tensor:
    """Return the share [rank] of each direction's spread that lies between the classes, from `basis` [n, rank]."""
    from torch.nn.functional import one_hot

    members = one_hot(labels).to(basis)  # [n, classes]
    numbers = members.sum(dim=0)
    return ((members.T @ basis).square() / numbers[:, None]).sum(dim=0)


def _shrinkage(centred: Tensor, variances: Tensor) -> Tensor:
    """Return the weight of the sphere in the estimate of Ledoit and Wolf 2004, between 0 and 1."""
    num_images, num_dimensions = centred.shape
    squares = variances.square().sum()
    distance = squares - variances.sum().square() / num_dimensions  # of the covariance to its sphere, squared
    error = (centred.square().sum(dim=1).square().mean() - squares) / num_images
    return error.clamp(max=distance) / distance.where(distance > 0, 1)

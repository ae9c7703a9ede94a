"""LEEP: the log-likelihood of new labels through the old classes (Nguyen et al. 2020, arXiv 2002.12462)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def leep(probabilities: Tensor, labels: Tensor) -> float:
    """Return the mean over images of log sum_z P(y | z) p_z(x), at most 0; P(y, z) are the probabilities' own means.

    An old class that no image has any probability of takes no part.
    """
    from torch.nn.functional import one_hot

    joint = one_hot(labels).to(probabilities).T @ probabilities / len(labels)  # [classes, old classes]
    mass = joint.sum(dim=0)
    conditional = joint / mass.where(mass > 0, 1)
    expected = (probabilities * conditional[labels]).sum(dim=1)  # [n]
    return float(expected.log().mean())

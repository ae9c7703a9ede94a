"""NCE: the negative conditional entropy of new labels given old ones (Tran et al. 2019, arXiv 1908.08142)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def nce(probabilities: Tensor, labels: Tensor) -> float:
    """Return -H(Y | Z) in nats, at most 0; Z is the old class of the largest probability.

    An old class that never comes first takes no part.
    """
    import torch
    from torch.nn.functional import one_hot

    first = one_hot(probabilities.argmax(dim=1), probabilities.shape[1]).to(probabilities)
    joint = one_hot(labels).to(probabilities).T @ first / len(labels)  # [classes, old classes]
    return float(torch.xlogy(joint, joint).sum() - torch.xlogy(joint.sum(dim=0), joint.sum(dim=0)).sum())

"""Distance of two layers by which channels are active together."""

from __future__ import annotations

from torch import Tensor
from torch.linalg import matrix_norm

from tlvcli.core.config import Config
from tlvcli.methods.statistics.summary import LayerSummary


def channel_gram(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return |G1 - G2| / (|G1| + |G2|), [], from 0 to 1: Frobenius norms of the mean Gram matrices over channels.

    A Gram matrix (Gatys et al. 2016) does not say where in the image; this one keeps the scale of the activations.
    """
    assert source.channel_gram is not None
    assert target.channel_gram is not None
    a, b = source.channel_gram / source.count, target.channel_gram / target.count
    # Two layers without any activation do not differ.
    distance: Tensor = matrix_norm(a - b) / (matrix_norm(a) + matrix_norm(b)).clamp(min=1e-300)
    return distance

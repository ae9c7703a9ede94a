"""Linear CKA of every layer of one network with every layer of another, unbiased and batch by batch.

Kornblith et al. 2019 (arXiv 1905.00414), with the unbiased HSIC of Song et al. 2012 (JMLR 13) summed over batches as
in Nguyen et al. 2021 (arXiv 2010.15327, eq. 3). A Gram matrix that is U-centred (Szekely and Rizzo 2014) makes that
HSIC an inner product, so that a batch costs one matrix product for all pairs of layers together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError

if TYPE_CHECKING:
    from torch import Tensor

FEWEST_IMAGES = 4
# Of a large map, so many values at a time: no second copy of it, and sums that float32 adds up well.
_COLUMNS = 1 << 15


@dataclass(frozen=True)
class Hsic:
    """Sums over batches of the unbiased HSIC, float64: of pairs [layers, others], of each side with itself."""

    pairs: Tensor
    own: Tensor
    others: Tensor

    def __add__(self, other: Hsic) -> Hsic:
        """Return the sums over both sets of batches."""
        return Hsic(self.pairs + other.pairs, self.own + other.own, self.others + other.others)

    def cpu(self) -> Hsic:
        """Return the sums on the CPU."""
        return Hsic(self.pairs.cpu(), self.own.cpu(), self.others.cpu())


def gram_matrix(features: Tensor) -> Tensor:
    """Return the inner products [n, n] in float64 of n images' features [n, ...], each less those of the first image.

    What all images share makes no difference to what follows but for rounding: in float32 a large mean hides small
    differences, and a layer that gives every image the same shall give exact zeros.
    """
    import torch

    # Half precision is widened, as its products overflow.
    flat = features.flatten(1) if features.itemsize > 2 else features.flatten(1).float()
    gram = torch.zeros(len(flat), len(flat), dtype=torch.float64, device=flat.device)
    for start in range(0, flat.shape[1], _COLUMNS):
        part = flat[:, start : start + _COLUMNS]
        differences = part - part[:1]
        gram += differences @ differences.T
    return gram


def centre_grams(grams: Sequence[Tensor]) -> Tensor:
    """Return the U-centred Gram matrices [layers, n * n] in float64: zero diagonals, off them rows that sum to zero.

    They drop whatever is a constant, or a term of one image alone, and with it the bias of few images.
    """
    import torch

    stacked = torch.stack(list(grams))  # [layers, n, n]
    num_images = stacked.shape[-1]
    assert num_images >= FEWEST_IMAGES, num_images
    stacked.diagonal(dim1=1, dim2=2).zero_()
    rows = stacked.sum(dim=2)  # [layers, n]
    total = rows.sum(dim=1) / ((num_images - 1) * (num_images - 2))  # [layers]
    shares = rows / (num_images - 2)
    stacked -= shares[:, :, None]
    stacked -= shares[:, None, :]
    stacked += total[:, None, None]
    stacked.diagonal(dim1=1, dim2=2).zero_()
    return stacked.flatten(1)


def hsic_of_batch(one: Tensor, other: Tensor) -> Hsic:
    """Return the unbiased HSIC of all pairs of layers on one batch, from U-centred Grams [layers, n * n]."""
    num_images = round(one.shape[1] ** 0.5)
    scale = num_images * (num_images - 3)
    return Hsic(
        pairs=one @ other.T / scale,
        own=one.square().sum(dim=1) / scale,
        others=other.square().sum(dim=1) / scale,
    )


def similarity(sums: Hsic) -> Tensor:
    """Return the unbiased CKA [layers, others]: 1 for features equal up to rotation and scale, about 0 for unrelated.

    As an unbiased estimate it can fall a little below 0. A layer that gives every image the same has no likeness to
    anything: NaN.
    """
    norms = sums.own[:, None].sqrt() * sums.others[None, :].sqrt()
    return (sums.pairs / norms.where(norms > 0, float("nan"))).clamp(max=1)  # beyond it is rounding


def refuse_not_finite(own: Tensor, names: Sequence[str], network: str) -> None:
    """Raise `activations-not-finite` for the first layers whose HSIC with itself, `own` [layers], is not finite."""
    faulty = [names[index] for index in own.isfinite().logical_not().nonzero().flatten().tolist()]
    if faulty:
        more = f" and {len(faulty) - 3} more layers" if len(faulty) > 3 else ""
        raise TlvError(
            "activations-not-finite",
            f"{network}: NaN or infinite activations in {', '.join(faulty[:3])}{more}",
            "tlv inspect --stats shows whether the weights are finite",
        )

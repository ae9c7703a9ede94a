"""MixUp (Zhang et al. 2018) and CutMix (Yun et al. 2019): each image of a batch takes a share of its neighbour."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.core.runtime import seeded_globally
from tlvcli.data.augmentation import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

# Where both are on, how often CutMix is taken: as in timm.
_CUTMIX_SHARE = 0.5


def mix(
    images: Tensor, labels: Tensor, *, augmentation: Augmentation, num_classes: int, seed: int, epoch: int, step: int
) -> tuple[Tensor, Tensor]:
    """Return images [n, c, h, w] mixed and their labels [n, classes], shares that add up to 1.

    All processes of a run draw the same share for one step; each mixes its own images. `augmentation` must mix.
    """
    import torch
    from torchvision.transforms import v2

    assert augmentation.mixes
    with seeded_globally(seed, "mixing", epoch, step):
        cuts = augmentation.cutmix > 0 and (augmentation.mixup == 0 or bool(torch.rand(()) < _CUTMIX_SHARE))
        mixer = (
            v2.CutMix(alpha=augmentation.cutmix, num_classes=num_classes)
            if cuts
            else v2.MixUp(alpha=augmentation.mixup, num_classes=num_classes)
        )
        mixed, shares = mixer(images, labels)
    return mixed, shares

from __future__ import annotations

import pytest
import torch
from scipy.stats import kstest

from tlvcli.core.runtime import make_generator
from tlvcli.data.augmentation import Augmentation
from tlvcli.data.mixing import mix

IMAGES = torch.randn(5, 3, 8, 8, generator=make_generator(0))
LABELS = torch.tensor([0, 1, 2, 3, 3])


def _mix(augmentation: Augmentation, step: int) -> tuple[torch.Tensor, torch.Tensor]:
    return mix(IMAGES, LABELS, augmentation=augmentation, num_classes=4, seed=0, epoch=1, step=step)


@pytest.mark.parametrize("augmentation", [Augmentation(mixup=0.4), Augmentation(cutmix=1.0)])
def test_images_and_labels_are_mixed_alike(augmentation: Augmentation) -> None:
    images, shares = _mix(augmentation, 7)
    torch.testing.assert_close(shares.sum(1), torch.ones(5))
    own = float(shares[1, 1])
    assert 0 < own < 1
    assert float(shares[1, 0]) == pytest.approx(1 - own)
    if augmentation.mixup:
        torch.testing.assert_close(images, own * IMAGES + (1 - own) * IMAGES.roll(1, 0))
    else:
        kept = (images == IMAGES).all(1)
        assert ((images == IMAGES.roll(1, 0)).all(1) | kept).all()
        assert float(kept[1].float().mean()) == pytest.approx(own)
    again, _ = _mix(augmentation, 7)
    assert torch.equal(again, images)
    assert not torch.equal(_mix(augmentation, 8)[0], images)


def test_shares_follow_the_beta_distribution() -> None:
    shares = [float(_mix(Augmentation(mixup=0.4), step)[1][1, 1]) for step in range(300)]
    assert kstest(shares, "beta", args=(0.4, 0.4)).pvalue > 0.001


def test_both_take_turns_by_lot() -> None:
    cut = 0
    for step in range(200):
        images, _ = _mix(Augmentation(mixup=1.0, cutmix=1.0), step)
        # CutMix alone leaves pixels as they are, here or from the neighbour.
        cut += bool(((images == IMAGES) | (images == IMAGES.roll(1, 0))).all())
    assert 75 < cut < 125


def test_the_global_generator_and_the_arguments_are_left_alone() -> None:
    before, images = torch.get_rng_state(), IMAGES.clone()
    _mix(Augmentation(mixup=1.0, cutmix=1.0), 0)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images, IMAGES)
    assert LABELS.tolist() == [0, 1, 2, 3, 3]

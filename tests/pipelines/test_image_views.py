"""One network's images as another takes them, against arithmetic on the pixels."""

from __future__ import annotations

import torch

from tlvcli.core.provenance import Preprocessing
from tlvcli.pipelines.image_views import view_images

HERE = Preprocessing(image_size=8, resize_size=8, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4))
GREY = Preprocessing(image_size=8, resize_size=8, mean=(0.6,), std=(0.1,), channels=1)


def test_normalisation_and_channels_are_the_others() -> None:
    pixels = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = (pixels - torch.tensor(HERE.mean)[:, None, None]) / torch.tensor(HERE.std)[:, None, None]
    seen = view_images(images, here=HERE, there=GREY, channels=1, image_size=8)
    assert torch.allclose(seen, (pixels.mean(1, keepdim=True) - 0.6) / 0.1, atol=1e-5)


def test_alike_or_unknown_stays_to_the_bit() -> None:
    images = torch.randn(2, 3, 8, 8)
    for there in (None, HERE):
        assert view_images(images, here=HERE, there=there, channels=3, image_size=8) is images


def test_the_size_is_the_others() -> None:
    seen = view_images(torch.full((1, 3, 8, 8), 0.25), here=HERE, there=None, channels=3, image_size=20)
    assert seen.shape == (1, 3, 20, 20)
    assert torch.allclose(seen, torch.tensor(0.25))

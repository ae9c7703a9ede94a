from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Preprocessing
from tlvcli.core.runtime import seeded_globally
from tlvcli.data.torchvision_sets import DIGITS_TRAITS, ImageTraits
from tlvcli.data.transforms import (
    default_preprocessing,
    evaluation_transform,
    normalise,
    training_transform,
    with_image_size,
)

PHOTOS = ImageTraits()
TINY = ImageTraits(32, 32)


def _picture(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


def test_evaluation_is_what_torchvision_s_weights_prescribe() -> None:
    from torchvision.models import SqueezeNet1_1_Weights

    prescribed = SqueezeNet1_1_Weights.IMAGENET1K_V1.transforms(antialias=True)
    picture, preprocessing = _picture(300, 280), default_preprocessing(PHOTOS)
    ours = normalise(evaluation_transform(preprocessing)(picture)[None], preprocessing)[0]
    assert ours.shape == (3, 224, 224)
    torch.testing.assert_close(ours, prescribed(picture), rtol=0, atol=1e-5)


def test_normalise_by_hand() -> None:
    preprocessing = Preprocessing(image_size=1, resize_size=1, mean=(0.25,), std=(0.5,), channels=1)
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).reshape(3, 1, 1, 1)
    torch.testing.assert_close(normalise(images, preprocessing).flatten(), torch.tensor([-0.5, -0.1, 1.5]))


def test_image_size_scales_the_margin() -> None:
    resized = with_image_size(default_preprocessing(PHOTOS), 112)
    assert (resized.image_size, resized.resize_size) == (112, 128)
    assert with_image_size(default_preprocessing(TINY), 64).resize_size == 64
    # An image of 32 px is taken whole.
    assert with_image_size(default_preprocessing(PHOTOS), 32).resize_size == 32


def test_one_channel_takes_the_mean() -> None:
    grey = default_preprocessing(PHOTOS, channels=1)
    assert (grey.channels, grey.mean, grey.std) == (1, (0.449,), (0.226,))
    with pytest.raises(TlvError, match="reads 4 channels"):
        default_preprocessing(PHOTOS, channels=4)


@pytest.mark.parametrize("traits", [PHOTOS, TINY, DIGITS_TRAITS, ImageTraits(64, 64, glyphs=True)])
@pytest.mark.parametrize("size", [(8, 8), (90, 50), (50, 90)])
def test_training_gives_the_input_size_and_varies(traits: ImageTraits, size: tuple[int, int]) -> None:
    preprocessing = default_preprocessing(traits)
    transform, picture = training_transform(preprocessing, traits), _picture(*size)
    with seeded_globally(0):
        first, second = transform(picture), transform(picture)
    assert first.shape == (3, preprocessing.image_size, preprocessing.image_size)
    assert first.dtype == torch.uint8
    assert not torch.equal(first, second)
    with seeded_globally(0):
        assert torch.equal(transform(picture), first)


@pytest.mark.parametrize(("traits", "mirrors"), [(DIGITS_TRAITS, False), (TINY, True), (PHOTOS, True)])
def test_only_photographs_are_mirrored(traits: ImageTraits, mirrors: bool) -> None:
    # Dark left half, bright right half: no crop or shift brings the bright half to the left.
    pixels = np.zeros((64, 64, 3), dtype=np.uint8)
    pixels[:, 32:] = 255
    picture, transform = Image.fromarray(pixels), training_transform(default_preprocessing(traits), traits)
    with seeded_globally(0):
        views = [transform(picture).float() for _ in range(40)]
    width = views[0].shape[-1]
    brighter_left = [bool(view[..., : width // 2].mean() > view[..., width // 2 :].mean() + 40) for view in views]
    assert any(brighter_left) == mirrors

"""From an image to the network's input: the fixed way for evaluation, the varied one for training."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Preprocessing
from tlvcli.data.augmentation import policy_steps
from tlvcli.data.torchvision_sets import ImageTraits

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL.Image import Image
    from torch import Tensor

# Below this side, in pixels, a random resized crop leaves too little to recognise.
_SMALL = 64
# Least and most of the image's area in a crop; 0.08, as for ImageNet in 90 epochs, is too much for a short run.
_CROP_AREA = (0.35, 1.0)
_RGB = 3


def default_preprocessing(traits: ImageTraits, *, channels: int = _RGB) -> Preprocessing:
    """Return the usual preprocessing of a data set; one channel takes the mean of the three.

    Raises:
        TlvError: `channels-unsupported`, unless `channels` is 1 or 3.
    """
    if channels not in (1, _RGB):
        raise TlvError(
            "channels-unsupported",
            f"the network reads {channels} channels, an image gives 1 or {_RGB}",
            f"start from a network with --in-chans 1 or {_RGB}",
        )
    grey = channels == 1
    return Preprocessing(
        image_size=traits.image_size,
        resize_size=traits.resize_size,
        mean=(round(sum(traits.mean) / _RGB, 6),) if grey else traits.mean,
        std=(round(sum(traits.std) / _RGB, 6),) if grey else traits.std,
        channels=channels,
    )


def with_image_size(preprocessing: Preprocessing, image_size: int) -> Preprocessing:
    """Return the same preprocessing for another input size in pixels; the cropped margin scales along.

    Below 64 px there is no margin: an image so small is often whole as it is, and would be enlarged only to be cut.
    """
    margin = 1 if image_size < _SMALL else preprocessing.resize_size / preprocessing.image_size
    resize_size = round(margin * image_size)
    return preprocessing.model_copy(update={"image_size": image_size, "resize_size": max(image_size, resize_size)})


def evaluation_transform(preprocessing: Preprocessing) -> Callable[[Image], Tensor]:
    """Return image -> uint8 [channels, image_size, image_size]: short side resized, centre cropped."""
    # On one PIL image, what v2 does too, which takes longer to import and to walk through its arguments.
    from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

    transform: Any = Compose(
        [
            Resize(preprocessing.resize_size, interpolation=_interpolation(preprocessing)),
            CenterCrop(preprocessing.image_size),
            PILToTensor(),
        ]
    )
    return transform  # type: ignore[no-any-return]


def training_transform(
    preprocessing: Preprocessing, traits: ImageTraits, policy: str = "standard"
) -> Callable[[Image], Tensor]:
    """Return image -> uint8 [channels, image_size, image_size], augmented by a policy (see `Augmentation`).

    In the standard one photographs are randomly cropped, resized and mirrored; images below 64 px are shifted by an
    eighth and mirrored; glyphs are shifted only. Others follow upon it, and `none` is the evaluation's. The draws
    come from torch's global generator.

    Raises:
        TlvError: `augmentation-unknown` or `extra-missing`.
    """
    from torchvision.transforms import v2

    if policy == "none":
        return evaluation_transform(preprocessing)
    size, interpolation = preprocessing.image_size, _interpolation(preprocessing)
    if is_shifted(preprocessing, traits):
        steps: list[Any] = [
            v2.Resize(size, interpolation=interpolation, antialias=True),
            v2.RandomCrop(size, padding=shift_padding(preprocessing), padding_mode="reflect"),
        ]
    else:
        steps = [v2.RandomResizedCrop(size, scale=_CROP_AREA, interpolation=interpolation, antialias=True)]
    if not traits.glyphs:
        steps.append(v2.RandomHorizontalFlip())
    transform: Any = v2.Compose([*steps, *policy_steps(policy, preprocessing), v2.PILToTensor()])
    return transform  # type: ignore[no-any-return]


def resizing_transform(preprocessing: Preprocessing) -> Callable[[Image], Tensor]:
    """Return image -> uint8 [channels, h, w] whose short side is image_size: what comes before a random shift."""
    from torchvision.transforms import v2

    interpolation = _interpolation(preprocessing)
    transform: Any = v2.Compose(
        [v2.Resize(preprocessing.image_size, interpolation=interpolation, antialias=True), v2.PILToTensor()]
    )
    return transform  # type: ignore[no-any-return]


def is_shifted(preprocessing: Preprocessing, traits: ImageTraits) -> bool:
    """Return whether the standard augmentation shifts images, where it crops and resizes others."""
    return traits.glyphs or preprocessing.image_size < _SMALL


def shift_padding(preprocessing: Preprocessing) -> int:
    """Return the farthest that an image is shifted, in pixels."""
    return preprocessing.image_size // 8


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Return uint8 [n, channels, h, w] as float32 on a scale of 0 to 1, less the mean, divided by the std."""
    import torch

    # For the whole batch where it lies, after uint8 has crossed from the workers and to the device; to the bit what
    # torchvision's to_dtype and normalize give, without a copy in between.
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=images.device)[:, None, None]
        for values in (preprocessing.mean, preprocessing.std)
    )
    return images.float().mul_(1 / 255).sub_(mean).div_(std)


def _interpolation(preprocessing: Preprocessing) -> Any:
    from torchvision.transforms import InterpolationMode

    return InterpolationMode(preprocessing.interpolation)

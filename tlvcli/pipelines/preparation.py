"""How images are prepared where the user knows better than the checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, Protocol

from pydantic import BeforeValidator, Field

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Preprocessing
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.torchvision_sets import ImageTraits

# Photographs that are a little small are enlarged every day; a thumbnail at this scale is another matter.
_ENLARGED = 3


def _split_numbers(value: object) -> object:
    """Take `0.485,0.456,0.406` for three numbers."""
    return value.split(",") if isinstance(value, str) else value


Mean = Annotated[list[Annotated[float, Field(ge=0, le=1)]], BeforeValidator(_split_numbers)]
Std = Annotated[list[Annotated[float, Field(gt=0)]], BeforeValidator(_split_numbers)]
InterpolationName = Literal["nearest", "bilinear", "bicubic", "lanczos"]


class PreparationSettings(Protocol):
    """What settings may say of the preparation; None leaves it as it is."""

    @property
    def resize(self) -> int | None:
        """Short side before the crop, in pixels."""
        ...

    @property
    def mean(self) -> Sequence[float] | None:
        """Of each channel, on a scale of 0 to 1."""
        ...

    @property
    def std(self) -> Sequence[float] | None:
        """Of each channel, on the same scale."""
        ...

    @property
    def interpolation(self) -> str | None:
        """How images are resized."""
        ...


def prepared_as_told(preprocessing: Preprocessing, settings: PreparationSettings) -> Preprocessing:
    """Return the preprocessing with what the settings say in its place.

    Raises:
        TlvError: `preprocessing-invalid`, unless there is one number per channel and a crop lies within the image.
    """
    for name, numbers in (("mean", settings.mean), ("std", settings.std)):
        if numbers is not None and len(numbers) != preprocessing.channels:
            raise TlvError(
                "preprocessing-invalid",
                f"{name} has {len(numbers)} numbers, the network reads {preprocessing.channels} channels",
                f"give {preprocessing.channels}, separated by commas",
            )
    if settings.resize is not None and settings.resize < preprocessing.image_size:
        raise TlvError(
            "preprocessing-invalid",
            f"images of {settings.resize} px have no crop of {preprocessing.image_size} px",
            "--image-size is the crop, --resize the short side before it",
        )
    told = {
        "resize_size": settings.resize,
        "mean": settings.mean and tuple(settings.mean),
        "std": settings.std and tuple(settings.std),
        "interpolation": settings.interpolation,
    }
    return preprocessing.model_copy(update={key: value for key, value in told.items() if value is not None})


def enlargement(
    preprocessing: Preprocessing, dataset: ImageDataset, *, flags: Sequence[str] = ("--image-size", "--resize")
) -> str:
    """Return what to say where a size that nobody chose is far above that of the images, else nothing.

    `flags` of the command take images as they are. Sets of one size say what is usual for them; of others the first
    image is looked at.
    """
    if dataset.traits != ImageTraits():
        side, what = dataset.traits.image_size, "is usual for the data"
    else:
        try:
            width, height = dataset.read(0, channels=preprocessing.channels).size
        except TlvError:  # it is told in its turn
            return ""
        side, what = min(width, height), f"takes the first image, {width}x{height} px, as it is"
    if side * _ENLARGED > preprocessing.resize_size:
        return ""
    return f"; {' '.join(f'{flag} {side}' for flag in flags)} {what}"

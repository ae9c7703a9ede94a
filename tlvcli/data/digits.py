"""The digits that ship with scikit-learn: 1797 real greyscale images of 8 x 8 pixels, no network needed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.runtime import make_generator
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.reference import DIGITS
from tlvcli.data.sampling import hold_out
from tlvcli.data.torchvision_sets import DIGITS_TRAITS

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

DIGITS_SPLITS = ("train", "val", "test")
# The split is part of the data set: 20 % test, then an eighth of the rest (10 % of all) val, stratified.
_SPLIT_SEED = 0
_TEST_SHARE = 0.2
_VAL_SHARE = 0.125


@dataclass(frozen=True)
class DigitImages:
    """Images as one array of uint8 [image, row, column]."""

    pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]

    def read(self, index: int) -> Image:
        """Return one greyscale image of 8 x 8 pixels."""
        from PIL import Image as ImageModule

        return ImageModule.fromarray(self.pixels[index])

    def where(self, index: int) -> str:
        """Return the image's number in scikit-learn's order."""
        return f"image {index} of digits"

    def identity(self, index: int) -> bytes:
        """Return the pixels."""
        return bytes(self.pixels[index])


def open_digits(split: str) -> ImageDataset:
    """Return one split of the digits: 1258 images in train, 180 in val, 359 in test."""
    import numpy as np
    from sklearn.datasets import load_digits

    raw = load_digits()
    everything = ImageDataset(
        name=DIGITS,
        split=split,
        kind=DIGITS,
        class_names=tuple(str(digit) for digit in range(10)),
        labels=tuple(int(label) for label in raw.target),
        indices=tuple(range(len(raw.target))),
        source=DigitImages((raw.images * (255 / 16)).round().astype(np.uint8)),
        traits=DIGITS_TRAITS,
        in_memory=True,
    )
    rest, test = hold_out(everything.labels, _TEST_SHARE, make_generator(_SPLIT_SEED, DIGITS, "test"))
    if split == "test":
        return everything.subset(test)
    remaining = everything.subset(rest)
    train, val = hold_out(remaining.labels, _VAL_SHARE, make_generator(_SPLIT_SEED, DIGITS, "val"))
    return remaining.subset(train if split == "train" else val)

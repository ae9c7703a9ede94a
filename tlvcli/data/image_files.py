"""One image file on its way to pixels: only formats that are nothing but pixels, only files that end."""

from __future__ import annotations

import os
import stat
import warnings
from functools import lru_cache
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

# By content, whatever the suffix. Pillow knows more: EPS, for one, is a program, which it has Ghostscript run.
_FORMATS = ("JPEG", "PNG", "PPM", "GIF", "BMP", "DIB", "TIFF", "WEBP", "JPEG2000")


def read_image_file(path: str) -> Image:
    """Decode a file, of an animation the first picture; its EXIF rotation is not applied, as in torchvision.

    Pillow refuses images of more than 179 million pixels.

    Raises:
        OSError: it is missing or no regular file, as a pipe or a device, for which one would wait for ever.
        Exception: whatever Pillow raises of a file that is damaged.
    """
    from PIL import Image as ImageModule

    refuse_irregular(path)
    image: Image
    with warnings.catch_warnings():
        # Of half the size that Pillow refuses it warns: of scans and satellite images, which are read.
        warnings.simplefilter("ignore", ImageModule.DecompressionBombWarning)
        with ImageModule.open(path, formats=_formats()) as image:
            image.load()
    return image


def refuse_irregular(path: str) -> None:
    """Raise an OSError unless `path` leads to a regular file."""
    if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116 - once for each image
        raise OSError("it is no regular file")


@lru_cache(maxsize=1)
def _formats() -> tuple[str, ...]:
    return (*_FORMATS, "AVIF") if find_spec("PIL.AvifImagePlugin") else _FORMATS

"""Arrays as pictures inside the page itself, as data: addresses."""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

# The last entry of a palette stands for what is not known.
_MISSING = 255
_MISSING_COLOUR = (128, 128, 128)
# An image whose longer side is no longer loses too much as JPEG, and takes little room anyway.
SMALL = 64
# Seen on white and on the dark paper alike.
_RIGHT_COLOUR, _WRONG_COLOUR = (38, 132, 204), (230, 104, 16)
_TONES = 128
# One that also tells by lightness alone, for print and for those who see fewer colours.
_COLOURS = "magma"


def photograph(pixels: NDArray[Any]) -> str:
    """Return the address of an image [h, w, 3] or [h, w], uint8."""
    from PIL import Image as ImageModule

    return _address(ImageModule.fromarray(pixels), "JPEG", quality=85)


def colour_map(values: NDArray[Any], low: float, high: float) -> str:
    """Return the address of a matrix [h, w] in colours from `low`, dark, to `high`, bright; NaN is grey."""
    import numpy as np
    from matplotlib import colormaps
    from PIL import Image as ImageModule

    known = np.nan_to_num(values, nan=low)
    shares = ((known - low) / (high - low)).clip(0, 1) if high > low else np.zeros_like(known)
    levels = np.where(np.isnan(values), _MISSING, (shares * (_MISSING - 1)).round()).astype(np.uint8)
    image = ImageModule.fromarray(levels)
    colours = (colormaps[_COLOURS](np.linspace(0, 1, _MISSING))[:, :3] * 255).round().astype(np.uint8)
    image.putpalette([*colours.flatten().tolist(), *_MISSING_COLOUR])
    return _address(image, "PNG", optimize=True)


def colour_ramp() -> str:
    """Return the address of a strip that shows all colours of `colour_map`, dark to bright."""
    import numpy as np

    return colour_map(np.linspace(0, 1, 64)[None], 0, 1)


def thumbnail(pixels: NDArray[Any]) -> str:
    """Return the address of an image [h, w, 3] or [h, w], uint8, without loss where it is small."""
    from PIL import Image as ImageModule

    if max(pixels.shape[:2]) > SMALL:
        return photograph(pixels)
    return _address(ImageModule.fromarray(pixels), "PNG", optimize=True)


def two_tone(right: NDArray[Any], wrong: NDArray[Any]) -> str:
    """Return the address of a picture of two matrices [h, w] of opacities, 0 to 1, of which the larger is drawn."""
    import numpy as np
    from PIL import Image as ImageModule

    levels = (np.maximum(right, wrong) * (_TONES - 1)).round().astype(np.uint8)
    image = ImageModule.fromarray(np.where(wrong > right, levels + _TONES, levels).astype(np.uint8))
    image.putpalette([*_RIGHT_COLOUR * _TONES, *_WRONG_COLOUR * _TONES])
    opacities = np.linspace(0, 255, _TONES).round().astype(np.uint8)
    return _address(image, "PNG", optimize=True, transparency=bytes([*opacities, *opacities]))


def _address(image: Image, kind: str, **options: Any) -> str:
    stream = BytesIO()
    image.save(stream, kind, **options)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(stream.getvalue()).decode()}"

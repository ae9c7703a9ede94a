"""A labelled set of images: labels at hand, images read one at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from tlvcli.core.errors import TlvError
from tlvcli.data.torchvision_sets import ImageTraits

if TYPE_CHECKING:
    from PIL.Image import Image


class ImageSource(Protocol):
    """Where images come from; it is sent to worker processes, so it must survive pickling."""

    def read(self, index: int) -> Image:
        """Return one image, as its file has it."""
        ...

    def where(self, index: int) -> str:
        """Return the file of one image, or a phrase that finds it."""
        ...

    def identity(self, index: int) -> bytes:
        """Return what tells one image from another at little cost: path below the root, size and ends, or pixels."""
        ...


@dataclass(frozen=True)
class ImageDataset:
    """One split of a data set: `labels[p]` is the class of `source.read(indices[p])`.

    `in_memory` says that reading costs next to nothing, so that worker processes would not pay.
    """

    name: str
    split: str
    kind: str
    class_names: tuple[str, ...]
    labels: tuple[int, ...]
    indices: tuple[int, ...]
    source: ImageSource
    traits: ImageTraits
    in_memory: bool = False
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, positions: Sequence[int], *, split: str | None = None) -> ImageDataset:
        """Return the images at `positions`, under the name of another split if one is given; classes stay."""
        return replace(
            self,
            split=split or self.split,
            labels=tuple(self.labels[position] for position in positions),
            indices=tuple(self.indices[position] for position in positions),
        )

    def where(self, position: int) -> str:
        """Return the file of one image, or a phrase that finds it."""
        return self.source.where(self.indices[position])

    def read(self, position: int, *, channels: int) -> Image:
        """Return one image decoded, as RGB or greyscale for 3 or 1 `channels`.

        Raises:
            TlvError: `image-unreadable`, naming the file.
        """
        index = self.indices[position]
        try:
            return _with_channels(self.source.read(index), channels)
        except MemoryError:
            raise TlvError(
                "image-unreadable",
                f"cannot read {self.where(position)}: its pixels take more memory than there is",
                "make it smaller or take it out of the data set; fewer --workers share what there is",
            ) from None  # it is this image, not memory, that is to be told
        # A damaged file makes a decoder raise almost anything: OSError, SyntaxError, struct.error, ...
        except Exception as error:
            reason = "it is missing" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
            raise TlvError(
                "image-unreadable",
                f"cannot read {self.where(position)}: {reason.splitlines()[0]}",
                "mend the image or take it out; tlv eval and analyze-stats leave such ones out with --skip-corrupt",
            ) from error


def _with_channels(image: Image, channels: int) -> Image:
    mode = "RGB" if channels == 3 else "L"
    if image.mode.startswith(("I", "F")):
        image = _to_eight_bits(image)
    elif image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")  # the way that Pillow itself asks for
    # convert() decodes; a lazily opened file is closed by it, one of the right mode only by load().
    image.load()
    return image if image.mode == mode else image.convert(mode)


def _to_eight_bits(image: Image) -> Image:
    # Pillow clips 16-bit greyscale at 255, which turns a scan into a white sheet; we scale it.
    import numpy as np
    from PIL import Image as ImageModule

    pixels = np.asarray(image).astype(np.float64)
    top = 65535.0 if pixels.max(initial=0.0) > 255 else 255.0
    return ImageModule.fromarray((pixels / top * 255).clip(0, 255).round().astype(np.uint8))

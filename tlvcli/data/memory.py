"""Small images decoded once and kept in memory, for all epochs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tlvcli.core.provenance import Preprocessing
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.reading import Key, Unreadable, granted_cores, read_batches, read_image
from tlvcli.data.transforms import evaluation_transform, resizing_transform

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_LARGEST_SIDE = 64
_MOST_BYTES = 2**30
# Below so many images, processes would take longer to start than to decode; threads do not help, Pillow keeps the lock.
_FEW_IMAGES = 4000
_MOST_WORKERS = 8
_READ_TOGETHER = 256


@dataclass(frozen=True)
class DecodedImages:
    """Images as one row of bytes: image k has `shapes[k]` = height, width, channels, and begins at `starts[k]`."""

    pixels: Tensor
    starts: tuple[int, ...]
    shapes: tuple[tuple[int, int, int], ...]
    original: ImageDataset

    def read(self, index: int) -> Image:
        """Return one image, RGB or greyscale."""
        from PIL import Image as ImageModule

        height, width, channels = self.shapes[index]
        start = self.starts[index]
        pixels = self.pixels[start : start + height * width * channels].numpy()
        return ImageModule.fromarray(pixels.reshape((height, width) if channels == 1 else (height, width, channels)))

    def where(self, index: int) -> str:
        """Return where the image was before."""
        return self.original.where(index)

    def identity(self, index: int) -> bytes:
        """Return what it was before."""
        return self.original.source.identity(self.original.indices[index])


@dataclass(frozen=True)
class _SmallImages:
    dataset: ImageDataset
    channels: int

    def __getitem__(self, key: Key) -> Tensor | Unreadable | None:
        """Return uint8 [h, w, channels], or None for an image that is not small."""
        import numpy as np
        import torch

        image = read_image(self.dataset, key[1], channels=self.channels)
        if isinstance(image, Unreadable):
            return image
        if max(image.size) > _LARGEST_SIDE:
            return None
        return torch.from_numpy(np.array(image).reshape(image.height, image.width, self.channels))


def decode_small(dataset: ImageDataset, *, channels: int, workers: int | None) -> ImageDataset | None:
    """Return the same images from memory, or None unless all are at most 64 px a side and 1 GiB together.

    Workers help where there are thousands; None takes one per core.

    Raises:
        TlvError: `image-unreadable` or `worker-died`.
    """
    import torch

    samples = _SmallImages(dataset, channels)
    # Photographs are told apart by the first one, and cost no more than that.
    first = _pack([samples[0, 0]])
    if first is None or (isinstance(first, tuple) and len(dataset) * len(first[0]) > _MOST_BYTES):
        return None
    if len(dataset) <= _FEW_IMAGES:
        workers = 0
    elif workers is None:
        workers = min(granted_cores(), _MOST_WORKERS)
    parts: list[Tensor] = []
    shapes: list[tuple[int, int, int]] = []
    num_bytes = 0
    with closing(read_batches(samples, _all_keys(len(dataset)), _pack, workers=workers)) as batches:
        for packed in batches:
            if isinstance(packed, Unreadable):
                raise packed.as_error()
            if packed is None or num_bytes + len(packed[0]) > _MOST_BYTES:
                return None
            parts.append(packed[0])
            shapes += packed[1]
            num_bytes += len(packed[0])
    lengths = torch.tensor(shapes).prod(1)
    starts = lengths.cumsum(0) - lengths
    source = DecodedImages(torch.cat(parts), tuple(starts.tolist()), tuple(shapes), dataset)
    return replace(dataset, source=source, indices=tuple(range(len(dataset))), in_memory=True)


def _all_keys(num_images: int) -> Iterator[list[Key]]:
    for start in range(0, num_images, _READ_TOGETHER):
        yield [(0, position) for position in range(start, min(start + _READ_TOGETHER, num_images))]


def _pack(
    samples: Sequence[Tensor | Unreadable | None],
) -> tuple[Tensor, list[tuple[int, int, int]]] | Unreadable | None:
    """Return the pixels of a batch in one row, as tensors of their own would each cost a file descriptor."""
    import torch

    images: list[Tensor] = []
    for sample in samples:
        if sample is None or isinstance(sample, Unreadable):
            return sample
        images.append(sample)
    return torch.cat([image.flatten() for image in images]), [(*image.shape,) for image in images]


def stack_resized(decoded: ImageDataset, preprocessing: Preprocessing, *, crops: bool) -> Tensor | None:
    """Return uint8 [images, size, size, channels]: all images at the input size, or None where they do not fit.

    With `crops` resized and cropped as for evaluation, to the bit; without, only resized, which must leave
    squares. None too where they would take more than 1 GiB.
    """
    import torch

    source, size, channels = decoded.source, preprocessing.image_size, preprocessing.channels
    assert isinstance(source, DecodedImages)
    if len(decoded) * size * size * channels > _MOST_BYTES:
        return None
    if not crops and any(height != width for height, width, _ in source.shapes):
        return None
    is_ready = not crops or preprocessing.resize_size == size
    if is_ready and all(shape == (size, size, channels) for shape in source.shapes):
        return source.pixels.view(len(decoded), size, size, channels)
    transform = evaluation_transform(preprocessing) if crops else resizing_transform(preprocessing)
    stacked = torch.empty(len(decoded), size, size, channels, dtype=torch.uint8)
    for position in range(len(decoded)):
        stacked[position] = transform(decoded.read(position, channels=channels)).permute(1, 2, 0)
    return stacked

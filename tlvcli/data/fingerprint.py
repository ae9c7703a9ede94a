"""Whether data are still the same: one hash of what can be told without opening every image."""

from __future__ import annotations

import hashlib

from tlvcli.core.errors import TlvError
from tlvcli.data.image_dataset import ImageDataset


def fingerprint(dataset: ImageDataset) -> str:
    """Return a sha256 over class names, labels and images in order: files by path, size and ends, others by pixels.

    It is the same wherever the data lie; a file that changes only in its middle, farther than 4 kB from either end,
    and keeps its size goes unnoticed.

    Raises:
        TlvError: `image-unreadable`, where a file has gone.
    """
    digest = hashlib.sha256()

    def add(part: bytes) -> None:
        # With its length, so that no two lists of parts read the same.
        digest.update(len(part).to_bytes(8, "little"))
        digest.update(part)

    for class_name in dataset.class_names:
        add(class_name.encode("utf-8", "surrogateescape"))
    add(repr(dataset.labels).encode())
    for position in range(len(dataset)):
        add(_identity(dataset, position))
    return digest.hexdigest()


def _identity(dataset: ImageDataset, position: int) -> bytes:
    try:
        return dataset.source.identity(dataset.indices[position])
    except OSError as error:
        raise TlvError(
            "image-unreadable",
            f"cannot read {dataset.where(position)}: {error.strerror or error}",
            "mend the image or take it out of the data set",
        ) from error

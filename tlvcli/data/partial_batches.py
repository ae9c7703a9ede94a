"""Batches of images of which some cannot be read: each gives what it has, and says why the rest is missing."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.provenance import Preprocessing
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.order import num_evaluation_batches
from tlvcli.data.reading import TransformedImages, choose_workers, read_batches, stack_readable
from tlvcli.data.transforms import evaluation_transform, normalise

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclass(frozen=True)
class PartialBatch:
    """The images at `positions` of a data set: [n, channels, h, w] float32 on the device, of those that can be read.

    `unreadable` says why, by position, of the others; `images` is None where there is none.
    """

    positions: range
    images: Tensor | None
    unreadable: Mapping[int, str]


def partial_batches(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    workers: int | None,
    device: torch.device,
) -> Generator[PartialBatch, None, None]:
    """Yield every image once, in the order of the data set, with the pixels that `evaluation_batches` gives it.

    Raises:
        TlvError: `worker-died`.
    """
    everything = range(len(dataset))
    parts = [everything[start : start + batch_size] for start in everything[::batch_size]]
    assert len(parts) == num_evaluation_batches(len(dataset), batch_size)
    batches = read_batches(
        TransformedImages(dataset, evaluation_transform(preprocessing), preprocessing.channels, None),
        ([(1, position) for position in part] for part in parts),
        stack_readable,
        # A worker reads whole batches: one for the only batch would read no sooner than we do.
        workers=choose_workers(dataset, workers, device) if len(parts) > 1 else 0,
        pin_memory=device.type == "cuda",
    )
    with closing(batches):
        for part, (pixels, unreadable) in zip(parts, batches, strict=True):
            yield PartialBatch(
                positions=part,
                images=None if pixels is None else normalise(pixels.to(device, non_blocking=True), preprocessing),
                unreadable={part[number]: failure.message for number, failure in unreadable.items()},
            )

"""Batches: in an order and with augmentations that depend on the seed alone, not on the number of workers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Preprocessing
from tlvcli.core.runtime import make_generator, seeded_globally
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.transforms import evaluation_transform, normalise, training_transform

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

_FEW_IMAGES = 10_000
_MOST_WORKERS = 8
# Which image in which pass; the pass is part of the key because a worker is told nothing else.
_Key = tuple[int, int]


@dataclass(frozen=True)
class Batch:
    """Normalised images [n, channels, h, w] float32 and labels [n] int64, both on the device."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class _Unreadable:
    # An exception loses its fields on the way from a worker process; a value does not.
    error_id: str
    message: str
    hint: str


@dataclass(frozen=True)
class _Samples:
    """What a worker needs; `seed` is None where nothing is drawn."""

    dataset: ImageDataset
    transform: Callable[[Image], Tensor]
    channels: int
    seed: int | None

    def __getitem__(self, key: _Key) -> tuple[Tensor, int] | _Unreadable:
        epoch, position = key
        try:
            image = self.dataset.read(position, channels=self.channels)
        except TlvError as error:
            return _Unreadable(error.error_id, error.message, error.hint)
        label = self.dataset.labels[position]
        if self.seed is None:
            return self.transform(image), label
        with seeded_globally(self.seed, "augmentation", epoch, position):
            return self.transform(image), label


def training_batches(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    workers: int,
    device: torch.device,
    drop_single: bool,
) -> Generator[Batch, None, None]:
    """Yield the batches of all epochs, one epoch after the other, each in an order of its own.

    With `drop_single` a last batch of one image is left out, as batch normalisation cannot train on it.

    Raises:
        TlvError: `image-unreadable` or `worker-died`.
    """
    samples = _Samples(dataset, training_transform(preprocessing, dataset.traits), preprocessing.channels, seed)
    keys = (
        [(epoch, position) for position in positions]
        for epoch in range(1, epochs + 1)
        for positions in _in_batches(_shuffled(len(dataset), seed, epoch), batch_size, drop_single=drop_single)
    )
    return _load(samples, keys, preprocessing, workers, device)


def evaluation_batches(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    workers: int,
    device: torch.device,
    passes: int = 1,
) -> Generator[Batch, None, None]:
    """Yield every image once per pass, in the order of the data set.

    Raises:
        TlvError: `image-unreadable` or `worker-died`.
    """
    samples = _Samples(dataset, evaluation_transform(preprocessing), preprocessing.channels, None)
    keys = (
        [(number, position) for position in positions]
        for number in range(1, passes + 1)
        for positions in _in_batches(range(len(dataset)), batch_size, drop_single=False)
    )
    return _load(samples, keys, preprocessing, workers, device)


def num_batches(num_images: int, batch_size: int, *, drop_single: bool = False) -> int:
    """Return how many batches one pass over `num_images` has."""
    whole, rest = divmod(num_images, batch_size)
    return whole + (rest > drop_single)


def choose_workers(dataset: ImageDataset, workers: int | None, device: torch.device) -> int:
    """Return the number asked for, else none for few images in memory, else up to 8 by the cores.

    Beside a GPU that is a worker per core; on the CPU the network keeps three cores of four to itself.
    """
    if workers is not None:
        return workers
    if dataset.in_memory and len(dataset) <= _FEW_IMAGES:
        return 0
    # Containers and schedulers often grant fewer cores than the machine has.
    granted = (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1
    return min(granted // 4 if device.type == "cpu" else granted, _MOST_WORKERS)


def _shuffled(num_images: int, seed: int, epoch: int) -> list[int]:
    import torch

    return torch.randperm(num_images, generator=make_generator(seed, "order", epoch)).tolist()


def _in_batches(positions: Sequence[int], batch_size: int, *, drop_single: bool) -> Iterator[Sequence[int]]:
    for number in range(num_batches(len(positions), batch_size, drop_single=drop_single)):
        yield positions[number * batch_size : (number + 1) * batch_size]


def _load(
    samples: _Samples,
    keys: Iterator[list[_Key]],
    preprocessing: Preprocessing,
    workers: int,
    device: torch.device,
) -> Generator[Batch, None, None]:
    loaded = _start_loading(samples, keys, workers, pin_memory=device.type == "cuda")
    while True:
        try:
            batch = next(loaded)
        except StopIteration:
            return
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TlvError(
                "worker-died",
                f"a worker process ended while it read {samples.dataset.name}",
                "--workers 0 reads in the main process; fewer workers need less (shared) memory",
            ) from error
        if isinstance(batch, _Unreadable):
            raise TlvError(batch.error_id, batch.message, batch.hint)
        images, labels = (part.to(device, non_blocking=True) for part in batch)
        yield Batch(normalise(images, preprocessing), labels)


def _start_loading(samples: _Samples, keys: Iterator[list[_Key]], workers: int, *, pin_memory: bool) -> Iterator[Any]:
    # One loader for all passes: workers start once, and fetch ahead across the end of an epoch.
    from torch.utils.data import DataLoader

    with warnings.catch_warnings():
        # The user may ask for more workers than cores: where a disk is slow, they pay.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: Any = DataLoader(
            samples,  # type: ignore[arg-type]
            batch_sampler=keys,
            num_workers=workers,
            collate_fn=_collate,
            pin_memory=pin_memory,
            # DataLoader draws a seed for its workers, which must not come from the global generator.
            generator=make_generator(0, "workers"),
        )
        return iter(loader)


def _collate(samples: Sequence[tuple[Tensor, int] | _Unreadable]) -> tuple[Tensor, Tensor] | _Unreadable:
    import torch

    images, labels = [], []
    for sample in samples:
        if isinstance(sample, _Unreadable):
            return sample
        images.append(sample[0])
        labels.append(sample[1])
    return torch.stack(images), torch.tensor(labels)

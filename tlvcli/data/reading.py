"""Images read and transformed one at a time, by this process or by workers."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from tlvcli.core.errors import TlvError
from tlvcli.core.runtime import make_generator, seeded_globally
from tlvcli.data.image_dataset import ImageDataset

if TYPE_CHECKING:
    import torch
    from PIL.Image import Image
    from torch import Tensor

_FEW_IMAGES = 10_000
_MOST_WORKERS = 8
# Epoch, position and, where an image can come twice, its place in the epoch; a worker is told nothing else.
Key = tuple[int, ...]


@dataclass(frozen=True)
class Unreadable:
    """A `TlvError` as a value: an exception loses its fields on the way from a worker process."""

    place: str
    error_id: str
    message: str
    hint: str

    def as_error(self) -> TlvError:
        """Return the error."""
        return TlvError(self.error_id, self.message, self.hint)


class Samples(Protocol):
    """What a worker needs to make one sample."""

    @property
    def dataset(self) -> ImageDataset:
        """Where the images come from."""
        ...

    def __getitem__(self, key: Key) -> Any:
        """Return one sample."""
        ...


@dataclass(frozen=True)
class TransformedImages:
    """Samples that are transformed images; `seed` is None where nothing is drawn."""

    dataset: ImageDataset
    transform: Callable[[Image], Tensor]
    channels: int
    seed: int | None

    def __getitem__(self, key: Key) -> Tensor | Unreadable:
        """Return one image [channels, h, w]; what is drawn for it depends on the seed and the key alone."""
        image = read_image(self.dataset, key[1], channels=self.channels)
        if isinstance(image, Unreadable):
            return image
        if self.seed is None:
            return self.transform(image)
        with seeded_globally(self.seed, "augmentation", *key):
            return self.transform(image)


def read_image(dataset: ImageDataset, position: int, *, channels: int) -> Image | Unreadable:
    """Return one image decoded, or why it cannot be."""
    try:
        return dataset.read(position, channels=channels)
    except TlvError as error:
        return Unreadable(dataset.where(position), error.error_id, error.message, error.hint)


def stack_readable(samples: Sequence[Tensor | Unreadable]) -> tuple[Tensor | None, dict[int, Unreadable]]:
    """Return the images of a batch [n, channels, h, w], None if none could be read, and by number those that could not.

    Their errors are raised, or counted, where the batch arrives.
    """
    import torch

    unreadable = {number: sample for number, sample in enumerate(samples) if isinstance(sample, Unreadable)}
    images = [sample for sample in samples if not isinstance(sample, Unreadable)]
    return torch.stack(images) if images else None, unreadable


def choose_workers(dataset: ImageDataset, workers: int | None, device: torch.device) -> int:
    """Return the number asked for, else none for few images in memory, else up to 8 by the cores.

    Beside a GPU that is a worker per core; on the CPU the network keeps three cores of four to itself.
    """
    if workers is not None:
        return workers
    if dataset.in_memory and len(dataset) <= _FEW_IMAGES:
        return 0
    cores = granted_cores()
    return min(cores // 4 if device.type == "cpu" else cores, _MOST_WORKERS)


def granted_cores() -> int:
    """Return how many cores this process may use: containers and schedulers often grant fewer than there are."""
    return (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()) or 1


def read_batches(
    samples: Samples,
    keys: Iterable[list[Key]],
    collate: Callable[[list[Any]], Any],
    *,
    workers: int,
    pin_memory: bool = False,
) -> Generator[Any, None, None]:
    """Yield what `collate` makes of the samples of each list of keys, in their order.

    Raises:
        TlvError: `worker-died`.
    """
    # One loader for all passes: workers start once, and fetch ahead across the end of an epoch.
    from torch.utils.data import DataLoader

    with warnings.catch_warnings():
        # The user may ask for more workers than cores: where a disk is slow, they pay.
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: Any = DataLoader(
            samples,  # type: ignore[arg-type]
            batch_sampler=keys,
            num_workers=workers,
            collate_fn=collate,
            pin_memory=pin_memory,
            # DataLoader draws a seed for its workers, which must not come from the global generator.
            generator=make_generator(0, "workers"),
        )
        loaded = iter(loader)
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
        yield batch

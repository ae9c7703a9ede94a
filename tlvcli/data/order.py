"""Which image comes when: the order of an epoch, cut into batches and dealt to the processes of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tlvcli.core.runtime import make_generator
from tlvcli.data.sampling import class_weights

if TYPE_CHECKING:
    from torch import Tensor

Sampling = Literal["shuffled", "repeated", "in-order", "balanced"]


@dataclass(frozen=True)
class Deal:
    """The share of one batch that one process gets.

    `places` are those in the order of the epoch, `positions` [n] int64 those in the data set; `global_size` images
    make up the batch over all processes.
    """

    epoch: int
    places: range
    positions: Tensor
    global_size: int


def epoch_order(labels: Sequence[int], sampling: Sampling, seed: int, epoch: int) -> Tensor:
    """Return the positions [n] of one epoch.

    `shuffled` is another order in every epoch, `repeated` one for all: not that of the data, where classes often stand
    one after the other. `balanced` draws with replacement, each class equally often.
    """
    import torch

    if sampling == "in-order":
        return torch.arange(len(labels))
    generator = make_generator(seed, "order", 0 if sampling == "repeated" else epoch)
    if sampling in ("shuffled", "repeated"):
        return torch.randperm(len(labels), generator=generator)
    weights = class_weights(labels, max(labels) + 1).double()
    return torch.multinomial(weights[torch.tensor(labels)], len(labels), replacement=True, generator=generator)


def deal(
    order: Tensor, *, epoch: int, batch_size: int, batches: int, first: int = 0, rank: int = 0, world_size: int = 1
) -> Iterator[Deal]:
    """Yield the batches from `first` up to `batches`; all processes together see what one would in batches as large.

    Image k of a global batch of `batch_size * world_size` goes to process k modulo `world_size`.
    """
    together = batch_size * world_size
    for number in range(first, batches):
        begin, end = number * together, min((number + 1) * together, len(order))
        places = range(begin + rank, end, world_size)
        yield Deal(epoch, places, order[places.start : end : world_size], end - begin)


def deal_whole(order: Tensor, *, epoch: int, batch_size: int, rank: int = 0, world_size: int = 1) -> Iterator[Deal]:
    """Yield the batches that one process alone would see: batch k goes whole to process k modulo `world_size`."""
    for begin in range(rank * batch_size, len(order), world_size * batch_size):
        places = range(begin, min(begin + batch_size, len(order)))
        yield Deal(epoch, places, order[places.start : places.stop], len(places))


def num_batches(num_images: int, batch_size: int, *, drop_single: bool = False, world_size: int = 1) -> int:
    """Return how many batches of training one epoch has.

    A last batch that would leave a process without an image, or with one under `drop_single`, is left out.
    """
    whole, rest = divmod(num_images, batch_size * world_size)
    return whole + (rest >= world_size * (1 + drop_single))


def num_evaluation_batches(num_images: int, batch_size: int, *, rank: int = 0, world_size: int = 1) -> int:
    """Return how many batches this process gets where every image is seen once; the last one others may lack."""
    whole, rest = divmod(num_images, batch_size * world_size)
    return whole + (rest > rank)

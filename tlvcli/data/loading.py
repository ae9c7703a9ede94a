"""Batches: in an order and with augmentations that depend on the seed alone, not on the number of workers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby, tee
from typing import TYPE_CHECKING

from tlvcli.core.provenance import Preprocessing
from tlvcli.core.runtime import make_generator
from tlvcli.data.augmentation import Augmentation
from tlvcli.data.erasing import draw_rectangles, erase
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.memory import decode_small, stack_resized
from tlvcli.data.order import Deal, Sampling, deal, deal_whole, epoch_order, num_batches, num_evaluation_batches
from tlvcli.data.reading import Key, TransformedImages, choose_workers, read_batches, stack_readable
from tlvcli.data.shifting import Shifts, draw_shifts, shift_images
from tlvcli.data.transforms import evaluation_transform, is_shifted, normalise, shift_padding, training_transform

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Batch", "choose_workers", "evaluation_batches", "num_batches", "training_batches"]

STANDARD = Augmentation()
# A batch's share with its images as uint8 [n, channels, size, size].
_Loaded = tuple[Deal, "Tensor"]


@dataclass(frozen=True)
class Batch:
    """Normalised images [n, channels, h, w] float32 and labels [n] int64, both on the device.

    `positions` [n] int64 are those in the data set, on the CPU; `global_size` images make up the batch over all
    processes.
    """

    images: Tensor
    labels: Tensor
    positions: Tensor
    global_size: int


def training_batches(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    epochs: int,
    seed: int,
    workers: int | None,
    device: torch.device,
    drop_single: bool,
    augmentation: Augmentation = STANDARD,
    sampling: Sampling = "shuffled",
    first_epoch: int = 1,
    first_step: int = 0,
    rank: int = 0,
    world_size: int = 1,
) -> Generator[Batch, None, None]:
    """Yield the batches of all epochs, one epoch after the other, each in an order of its own.

    Small images are decoded once, before the first batch. With `drop_single` a last batch of one image is left out,
    as batch normalisation cannot train on it. `first_epoch`, from 1, and `first_step`, the steps of it that are
    done, go on where a run was cut off, to the bit. Each of `world_size` processes gets its own share of every
    batch. Mixing is left to the consumer (`mix`).

    Raises:
        TlvError: `augmentation-unknown` or `extra-missing`, at once; `image-unreadable` or `worker-died`.
    """
    # A policy that cannot be is refused here, not when the first batch is asked for.
    training_transform(preprocessing, dataset.traits, augmentation.policy)
    steps = num_batches(len(dataset), batch_size, drop_single=drop_single, world_size=world_size)
    deals = (
        dealt
        for epoch in range(first_epoch, epochs + 1)
        for dealt in deal(
            epoch_order(dataset.labels, sampling, seed, epoch),
            epoch=epoch,
            batch_size=batch_size,
            batches=steps,
            first=first_step if epoch == first_epoch else 0,
            rank=rank,
            world_size=world_size,
        )
    )
    repeats = sampling == "balanced"
    loaded = _load_varied(dataset, preprocessing, augmentation.policy, deals, seed, workers, device, repeats=repeats)
    return _finish(loaded, dataset, preprocessing, device, augmentation, seed)


def evaluation_batches(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    workers: int | None,
    device: torch.device,
    passes: int = 1,
    skip_unreadable: Callable[[str], None] | None = None,
    rank: int = 0,
    world_size: int = 1,
    whole: bool = False,
) -> Generator[Batch, None, None]:
    """Yield every image once per pass, in the order of the data set; processes share the images without padding.

    With `whole` they share out the batches that one process has, for what depends on which images meet; else every
    process gets a part of each. `skip_unreadable` is told where the image lies that is left out because it cannot be
    read.

    Raises:
        TlvError: `image-unreadable` or `worker-died`.
    """
    steps = num_evaluation_batches(len(dataset), batch_size, rank=rank, world_size=world_size)
    orders = ((number, epoch_order(dataset.labels, "in-order", 0, number)) for number in range(1, passes + 1))
    ours: dict[str, int] = {"batch_size": batch_size, "rank": rank, "world_size": world_size}
    deals = (
        dealt
        for number, order in orders
        for dealt in (
            deal_whole(order, epoch=number, **ours) if whole else deal(order, epoch=number, batches=steps, **ours)
        )
    )
    # Who looks once gains nothing from what is kept.
    keeps = passes > 1 and skip_unreadable is None
    loaded = _load_fixed(dataset, preprocessing, deals, workers, device, skip_unreadable, keeps=keeps)
    return _finish(loaded, dataset, preprocessing, device, None, 0)


def _load_varied(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    policy: str,
    deals: Iterator[Deal],
    seed: int,
    workers: int | None,
    device: torch.device,
    *,
    repeats: bool,
) -> Generator[_Loaded, None, None]:
    if policy == "none":
        yield from _load_fixed(dataset, preprocessing, deals, workers, device, None, keeps=True)
        return
    decoded = decode_small(dataset, channels=preprocessing.channels, workers=workers)
    if decoded and policy == "standard" and is_shifted(preprocessing, dataset.traits):
        stored = stack_resized(decoded, preprocessing, crops=False)
        if stored is not None:
            padding, mirrors = shift_padding(preprocessing), not dataset.traits.glyphs
            yield from _shift(stored, deals, padding, seed, mirrors=mirrors)
            return
    samples = TransformedImages(
        decoded or dataset,
        training_transform(preprocessing, dataset.traits, policy),
        preprocessing.channels,
        seed,
    )
    yield from _read(samples, deals, workers, device, None, repeats=repeats)


def _load_fixed(
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    deals: Iterator[Deal],
    workers: int | None,
    device: torch.device,
    skip_unreadable: Callable[[str], None] | None,
    *,
    keeps: bool,
) -> Generator[_Loaded, None, None]:
    decoded = decode_small(dataset, channels=preprocessing.channels, workers=workers) if keeps else None
    stored = stack_resized(decoded, preprocessing, crops=True) if decoded else None
    if stored is not None:
        for dealt in deals:
            yield dealt, stored[dealt.positions].permute(0, 3, 1, 2).contiguous()
        return
    transform = evaluation_transform(preprocessing)
    samples = TransformedImages(decoded or dataset, transform, preprocessing.channels, None)
    yield from _read(samples, deals, workers, device, skip_unreadable)


def _shift(
    stored: Tensor, deals: Iterator[Deal], padding: int, seed: int, *, mirrors: bool
) -> Generator[_Loaded, None, None]:
    for epoch, of_epoch in groupby(deals, key=lambda dealt: dealt.epoch):
        # Drawn for the whole epoch, so that nothing depends on how it is cut into batches.
        generator = make_generator(seed, "augmentation", epoch)
        drawn = draw_shifts(len(stored), padding, mirrors=mirrors, generator=generator)
        for dealt in of_epoch:
            shifts = Shifts(drawn.offsets[_cut(dealt.places)], drawn.mirrored[_cut(dealt.places)])
            yield dealt, shift_images(stored, dealt.positions, shifts)


def _read(
    samples: TransformedImages,
    deals: Iterator[Deal],
    workers: int | None,
    device: torch.device,
    skip_unreadable: Callable[[str], None] | None,
    *,
    repeats: bool = False,
) -> Generator[_Loaded, None, None]:
    asked, answered = tee(deals)
    batches = read_batches(
        samples,
        (_keys(dealt, repeats=repeats) for dealt in asked),
        stack_readable,
        workers=choose_workers(samples.dataset, workers, device),
        pin_memory=device.type == "cuda",
    )
    # Only after a batch has come, its share is taken: the loader runs ahead of us.
    for images, unreadable in batches:
        dealt = next(answered)
        for failure in unreadable.values():
            if skip_unreadable is None:
                raise failure.as_error()
            skip_unreadable(failure.place)
        if unreadable:
            kept = [number for number in range(len(dealt.positions)) if number not in unreadable]
            dealt = replace(dealt, positions=dealt.positions[kept])
        if images is not None:
            yield dealt, images


def _keys(dealt: Deal, *, repeats: bool) -> list[Key]:
    positions = dealt.positions.tolist()
    if not repeats:
        return [(dealt.epoch, position) for position in positions]
    return [(dealt.epoch, position, place) for position, place in zip(positions, dealt.places, strict=True)]


def _finish(
    loaded: Iterable[_Loaded],
    dataset: ImageDataset,
    preprocessing: Preprocessing,
    device: torch.device,
    augmentation: Augmentation | None,
    seed: int,
) -> Generator[Batch, None, None]:
    import torch

    labels, erasing = torch.tensor(dataset.labels), augmentation.erasing if augmentation else 0
    for epoch, of_epoch in groupby(loaded, key=lambda pair: pair[0].epoch):
        side, generator = preprocessing.image_size, make_generator(seed, "erasing", epoch)
        rectangles = draw_rectangles(len(dataset), erasing, side, generator) if erasing else None
        for dealt, pixels in of_epoch:
            images = normalise(pixels.to(device, non_blocking=True), preprocessing)
            if augmentation and rectangles is not None:
                mode, cut = augmentation.erasing_mode, rectangles[_cut(dealt.places)]
                images = erase(images, cut, mode, seed=seed, epoch=epoch, places=dealt.places)
            yield Batch(images, labels[dealt.positions].to(device), dealt.positions, dealt.global_size)


def _cut(places: range) -> slice:
    return slice(places.start, places.stop, places.step)

"""The images that a step after the mapping looks at: opened, prepared, and given again as often as it wants."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Preprocessing
from tlvcli.core.runtime import make_generator
from tlvcli.core.wording import counted
from tlvcli.data.datasets import open_dataset, splits_of
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import evaluation_batches
from tlvcli.data.reference import DataReference, parse_data_reference
from tlvcli.data.sampling import stratified_sample
from tlvcli.data.unlabelled import open_unlabelled
from tlvcli.pipelines.analysis.images import is_flat

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Bytes of float32 images that are kept for the next pass; of more, the rest is read again.
_KEPT_BYTES = 2**30


@dataclass(frozen=True)
class StepImages:
    """The images of one step, in an order in which every batch is a fair sample."""

    step: str
    reference: str
    dataset: ImageDataset


def open_images_for(step: str, text: str, *, at_least: int, at_most: int, data_seed: int, download: bool) -> StepImages:
    """Open what a DATA argument names, of its train split unless told otherwise; labels are not looked at.

    Without `:N` a sample of `at_most` images is drawn where there are more; every class has its share.

    Raises:
        TlvError: `images-too-few` below `at_least`, or what is wrong with the argument or the files.
    """
    reference = parse_data_reference(text)
    dataset = _open(reference, download=download)
    available, asked = len(dataset), reference.num_images
    if asked is not None and asked > available:
        raise TlvError(
            "data-sample-invalid",
            f"{text}: {dataset.split} has only {counted(available, 'image')}",
            f"ask for at most {available}",
        )
    number = asked or min(available, at_most)
    if number < at_least:
        raise TlvError(
            "images-too-few",
            f"--{step} {text}: {counted(number, 'image')}; it needs at least {at_least}",
            f"{at_most} are usual; labels are not needed",
        )
    chosen = stratified_sample(dataset.labels, number, make_generator(data_seed, "sample", dataset.split))
    # A data set is sorted by class, and a batch of one class is no sample of all.
    order = _shuffled(number, data_seed)
    return StepImages(step, text, dataset.subset([chosen[place] for place in order]))


def repeatable_batches(
    images: StepImages,
    preprocessing: Preprocessing,
    *,
    batch_size: int,
    workers: int | None,
    device: torch.device,
    start_pass: Callable[[int, int], None],
    after_batch: Callable[[], None],
) -> Callable[[], Iterator[Tensor]]:
    """Return what gives the images [n, channels, h, w], normalised, batch by batch, the same in every pass.

    Batches are as equal as can be, at most `batch_size`. `start_pass` is told the number of the pass, from 1, and its
    number of batches. Up to 1 GiB of the images is read once and kept, on the device.
    """
    total = len(images.dataset)
    num_batches = -(-total // batch_size)
    even = -(-total // num_batches)
    side = preprocessing.image_size
    num_kept = _KEPT_BYTES // (4 * preprocessing.channels * side * side * even)  # in batches
    kept: list[Tensor] = []
    num_passes = 0

    def read(first: int) -> Iterator[Tensor]:
        rest = images.dataset.subset(range(first * even, total))
        batches = evaluation_batches(rest, preprocessing, batch_size=even, workers=workers, device=device)
        with closing(batches):
            for number, batch in enumerate(batches, start=first):
                if number < num_kept and number == len(kept):
                    kept.append(batch.images)
                yield batch.images

    def one_pass() -> Iterator[Tensor]:
        nonlocal num_passes
        num_passes += 1
        start_pass(num_passes, num_batches)
        already = tuple(kept)
        for batch in already:
            yield batch
            after_batch()
        if len(already) < num_batches:
            for batch in read(len(already)):
                yield batch
                after_batch()

    return one_pass


def _open(reference: DataReference, *, download: bool) -> ImageDataset:
    if is_flat(reference):
        assert reference.root is not None
        return open_unlabelled(reference.root)
    splits = splits_of(reference)
    split = reference.split or ("train" if "train" in splits else splits[0])
    return open_dataset(reference, split, download=download, one_class=True)


def _shuffled(number: int, data_seed: int) -> list[int]:
    import torch

    order: list[int] = torch.randperm(number, generator=make_generator(data_seed, "order")).tolist()
    return order

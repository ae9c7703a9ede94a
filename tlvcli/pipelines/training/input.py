"""The batches of a run, from the place where it begins or goes on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.data.loading import Batch, evaluation_batches, num_batches, training_batches
from tlvcli.data.order import num_evaluation_batches
from tlvcli.pipelines.training.epochs import EpochShape
from tlvcli.pipelines.training.feature_cache import CachedFeatures, feature_batches
from tlvcli.pipelines.training.job import TrainingJob

if TYPE_CHECKING:
    from tlvcli.data.order import Sampling


@dataclass(frozen=True)
class Input:
    """Batches of all epochs to come, one after the other: to train on, and of val.

    `val_batches` are those of one pass; every process has the first `val_batches_of_all` of them.
    """

    train: Iterator[Batch]
    val: Iterator[Batch]
    val_batches: int
    val_batches_of_all: int


def shape_of(job: TrainingJob) -> EpochShape:
    """Return how many images, batches and steps an epoch has."""
    images = images_taken(
        len(job.data.train), job.config.batch_size, drop_single=job.drop_single, world_size=job.processes.world_size
    )
    return EpochShape(images, job.config.batch_size, job.config.accumulate)


def images_taken(num_images: int, batch_size: int, *, drop_single: bool, world_size: int) -> int:
    """Return how many images an epoch has without a last batch that is too small to be shared."""
    batches = num_batches(num_images, batch_size // world_size, drop_single=drop_single, world_size=world_size)
    return min(num_images, batches * batch_size)


def sampling_of(job: TrainingJob) -> Sampling:
    """Return in which order images are taken."""
    if job.config.balanced:
        return "balanced"
    return "shuffled" if job.config.shuffle else "repeated"


@contextmanager
def open_input(
    job: TrainingJob, features: CachedFeatures | None, *, first_epoch: int, first_batch: int
) -> Iterator[Input]:
    """Give the batches from `first_epoch` on, without the first `first_batch` of it; processes that read end with it.

    With `features`, these take the place of images.

    Raises:
        TlvError: `image-unreadable` or `worker-died`, when batches are taken.
    """
    ranks = job.processes.rank, job.processes.world_size - 1
    val_batches = tuple(
        num_evaluation_batches(len(job.data.val), _own_size(job), rank=rank, world_size=job.processes.world_size)
        for rank in ranks
    )
    if features is not None:
        train, val = _of_features(job, features, first_epoch, first_batch)
        yield Input(train, val, *val_batches)
        return
    of_train, of_val = _of_images(job, first_epoch, first_batch)
    with closing(of_train), closing(of_val):
        yield Input(of_train, of_val, *val_batches)


def _own_size(job: TrainingJob) -> int:
    """Return how many images of a whole batch are this process's."""
    return job.config.batch_size // job.processes.world_size


def _of_features(
    job: TrainingJob, features: CachedFeatures, first_epoch: int, first_batch: int
) -> tuple[Iterator[Batch], Iterator[Batch]]:
    config = job.config
    train = feature_batches(
        features.train,
        job.data.train,
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        sampling=sampling_of(job),
        device=job.device,
        drop_single=job.drop_single,
        first_epoch=first_epoch,
        first_step=first_batch,
    )
    val = feature_batches(
        features.val,
        job.data.val,
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        sampling="in-order",
        device=job.device,
        first_epoch=first_epoch,
    )
    return train, val


def _of_images(
    job: TrainingJob, first_epoch: int, first_batch: int
) -> tuple[Generator[Batch, None, None], Generator[Batch, None, None]]:
    config = job.config
    train = training_batches(
        job.data.train,
        job.preprocessing,
        batch_size=_own_size(job),
        epochs=config.epochs,
        seed=config.seed,
        workers=config.workers,
        device=job.device,
        drop_single=job.drop_single,
        augmentation=job.augmentation,
        sampling=sampling_of(job),
        first_epoch=first_epoch,
        first_step=first_batch,
        rank=job.processes.rank,
        world_size=job.processes.world_size,
    )
    val = evaluation_batches(
        job.data.val,
        job.preprocessing,
        batch_size=_own_size(job),
        workers=config.workers,
        device=job.device,
        passes=config.epochs + 1 - first_epoch,
        rank=job.processes.rank,
        world_size=job.processes.world_size,
    )
    return train, val

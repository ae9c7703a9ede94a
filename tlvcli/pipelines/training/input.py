"""The batches of a run, from the place where it begins or goes on."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.data.loading import Batch, evaluation_batches, num_batches, training_batches
from tlvcli.pipelines.training.epochs import EpochShape
from tlvcli.pipelines.training.feature_cache import CachedFeatures, feature_batches
from tlvcli.pipelines.training.job import TrainingJob

if TYPE_CHECKING:
    from tlvcli.data.order import Sampling


@dataclass(frozen=True)
class Input:
    """Batches of all epochs to come, one after the other: to train on, and of val."""

    train: Iterator[Batch]
    val: Iterator[Batch]
    val_batches: int


def shape_of(job: TrainingJob) -> EpochShape:
    """Return how many images, batches and steps an epoch has."""
    images, size = len(job.data.train), job.config.batch_size
    left_out = job.drop_single and images % size == 1
    return EpochShape(images - left_out, size, job.config.accumulate)


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
    val_batches = num_batches(len(job.data.val), job.config.batch_size)
    if features is not None:
        train, val = _of_features(job, features, first_epoch, first_batch)
        yield Input(train, val, val_batches)
        return
    of_train, of_val = _of_images(job, first_epoch, first_batch)
    with closing(of_train), closing(of_val):
        yield Input(of_train, of_val, val_batches)


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
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
        workers=config.workers,
        device=job.device,
        drop_single=job.drop_single,
        augmentation=job.augmentation,
        sampling=sampling_of(job),
        first_epoch=first_epoch,
        first_step=first_batch,
    )
    val = evaluation_batches(
        job.data.val,
        job.preprocessing,
        batch_size=config.batch_size,
        workers=config.workers,
        device=job.device,
        passes=config.epochs + 1 - first_epoch,
    )
    return train, val

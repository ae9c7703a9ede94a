"""All epochs of one training run: train, validate, save, keep the best."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.core.report import OutputInfo, ReportPart
from tlvcli.data.datasets import TrainingData
from tlvcli.data.loading import choose_workers, evaluation_batches, num_batches, training_batches
from tlvcli.methods.finetuning.l2_sp import starting_points
from tlvcli.methods.finetuning.plan import FinetunePlan
from tlvcli.pipelines.checkpoints import save_module
from tlvcli.pipelines.epochs import EpochOutcome, PhaseRun, loss_not_finite, train_epoch
from tlvcli.pipelines.evaluation import Evaluation, evaluate
from tlvcli.pipelines.optimizers import OptimizerName, make_optimizer
from tlvcli.pipelines.precision import Precision, autocast_to
from tlvcli.pipelines.progress import Progress
from tlvcli.pipelines.run_folder import RunFolder
from tlvcli.pipelines.schedules import Schedule, ScheduleName

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class TrainingJob:
    """A training run, resolved and checked; `fit` writes into `module`.

    `drop_single` leaves out a last batch of one image; `workers` is None where the data decide. `decay_epochs` and
    `decay_rate` are None where the schedule has no steps.
    """

    module: nn.Module
    architecture: Architecture
    made_by: MadeBy
    data: TrainingData
    preprocessing: Preprocessing
    plan: FinetunePlan
    device: torch.device
    precision: Precision
    epochs: int
    batch_size: int
    lr: float
    optimizer: OptimizerName
    weight_decay: float
    schedule: ScheduleName
    decay_epochs: float | None
    decay_rate: float | None
    warmup_epochs: float
    label_smoothing: float
    workers: int | None
    seed: int
    drop_single: bool


class EpochResult(ReportPart):
    """One epoch; a line of metrics.jsonl."""

    epoch: int = Field(description="counted from 1")
    train_loss: float = Field(description="mean over the augmented images, in nats")
    val_loss: float = Field(description="mean cross-entropy in nats")
    val_top1: float
    lr: float = Field(description="learning rate of the last step, without the groups' factors")
    seconds: float = Field(description="wall time of training and validation")
    images_per_second: float = Field(description="of training, with reading and augmenting")


@dataclass(frozen=True)
class Fitted:
    """The epochs of a run, the best of them, and the files it wrote."""

    epochs: tuple[EpochResult, ...]
    best: EpochResult
    outputs: tuple[OutputInfo, ...]


def fit(job: TrainingJob, folder: RunFolder, progress: Progress) -> Fitted:
    """Train all epochs; after each one, the folder holds what is complete.

    Raises:
        TlvError: `loss-not-finite`, `image-unreadable`, `worker-died`, or why a file cannot be written.
    """
    import torch

    train, val = job.data.train, job.data.val
    steps = num_batches(len(train), job.batch_size, drop_single=job.drop_single)
    val_steps = num_batches(len(val), job.batch_size)
    start = starting_points(job.plan, dict(job.module.named_parameters()))
    runs = _phases_by_epoch(job, steps)
    running = runs[1]
    scaler = torch.amp.GradScaler(job.device.type, enabled=job.precision == "fp16")
    train_batches = training_batches(
        train,
        job.preprocessing,
        batch_size=job.batch_size,
        epochs=job.epochs,
        seed=job.seed,
        workers=choose_workers(train, job.workers, job.device),
        device=job.device,
        drop_single=job.drop_single,
    )
    val_batches = evaluation_batches(
        val,
        job.preprocessing,
        batch_size=job.batch_size,
        workers=choose_workers(val, job.workers, job.device),
        device=job.device,
        passes=job.epochs,
    )
    epochs: list[EpochResult] = []
    outputs: dict[str, OutputInfo] = {}
    last_good = "no checkpoint was written yet"
    with closing(train_batches), closing(val_batches):
        for epoch in range(1, job.epochs + 1):
            progress.start(steps + val_steps, f"epoch {epoch}/{job.epochs}")
            running = runs.get(epoch, running)
            trained = train_epoch(
                job.module,
                islice(train_batches, steps),
                running,
                plan=job.plan,
                start=start,
                first_step=(epoch - 1) * steps,
                epoch=epoch,
                seed=job.seed,
                label_smoothing=job.label_smoothing,
                autocast=autocast_to(job.precision, job.device),
                scaler=scaler,
                last_good=last_good,
                after_batch=progress.advance,
            )
            measured = evaluate(
                job.module,
                islice(val_batches, val_steps),
                num_classes=job.architecture.num_classes,
                autocast=autocast_to(job.precision, job.device),
                after_batch=progress.advance,
            )
            if not math.isfinite(measured.loss):
                raise loss_not_finite(measured.loss, f"on val after epoch {epoch}", last_good)
            result = _epoch_result(epoch, trained, measured)
            epochs.append(result)
            outputs["last"] = _save(job, folder.last_path)
            if _best(epochs) is result:
                outputs["best"] = _save(job, folder.best_path)
            folder.append_metrics(result.model_dump_json())
            last_good = f"the last good checkpoint is {folder.last_path}"
            progress.message(_describe(result, job.epochs))
    written = (outputs["best"], outputs["last"], folder.describe_metrics())
    return Fitted(tuple(epochs), _best(epochs), written)


def _phases_by_epoch(job: TrainingJob, steps: int) -> dict[int, PhaseRun]:
    """Return each phase under the epoch at which it begins; `steps` are those of one epoch."""
    runs, begin = {}, 1
    for phase in job.plan.phases:
        epochs = job.epochs + 1 - begin if phase.epochs is None else phase.epochs
        schedule = Schedule(
            job.lr,
            round(job.warmup_epochs * steps),
            epochs * steps,
            job.schedule,
            math.inf if job.decay_epochs is None else job.decay_epochs * steps,
            1.0 if job.decay_rate is None else job.decay_rate,
        )
        optimizer = make_optimizer(job.module, phase, name=job.optimizer, weight_decay=job.weight_decay)
        runs[begin] = PhaseRun(phase, optimizer, schedule, (begin - 1) * steps)
        begin += epochs
    return runs


def _best(epochs: list[EpochResult]) -> EpochResult:
    return max(epochs, key=lambda epoch: (epoch.val_top1, -epoch.val_loss))


def _epoch_result(epoch: int, trained: EpochOutcome, measured: Evaluation) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        train_loss=trained.loss,
        val_loss=measured.loss,
        val_top1=measured.top1,
        lr=trained.learning_rate,
        seconds=round(trained.seconds + measured.seconds, 3),
        images_per_second=round(trained.images / trained.seconds, 2),
    )


def _describe(epoch: EpochResult, num_epochs: int) -> str:
    return (
        f"epoch {epoch.epoch}/{num_epochs}: train loss {epoch.train_loss:.4f}, "
        f"val loss {epoch.val_loss:.4f}, val top-1 {epoch.val_top1:.4f}, {epoch.images_per_second:.0f} images/s"
    )


def _save(job: TrainingJob, path: Path) -> OutputInfo:
    return save_module(
        job.module,
        path,
        architecture=job.architecture,
        made_by=job.made_by,
        class_names=job.data.train.class_names,
        preprocessing=job.preprocessing,
        force=True,
    )

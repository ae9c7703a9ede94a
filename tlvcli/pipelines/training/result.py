"""What the report of `tlv train` says beside its settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart
from tlvcli.pipelines.training.job import EpochResult, Fitted, TrainingJob

if TYPE_CHECKING:
    from torch import nn

FROZEN = "frozen"


class PlannedParameter(ReportPart):
    """How one parameter trains in one phase."""

    name: str
    shape: tuple[int, ...]
    phase: int = Field(description="counted from 1; only lp-ft has a second")
    group: str = Field(description="its group in the strategy, or frozen")
    lr: float = Field(description="peak learning rate; 0 where it is frozen")
    weight_decay: float = Field(description="of the optimiser")
    l2_sp: float = Field(description="half of it times the squared distance from the start is added to the loss")
    l2: float = Field(description="half of it times the squared norm is added to the loss")
    masked: float = Field(description="share of its output channels that the mask holds")


class TrainResult(ReportPart):
    """What was trained on what, epoch by epoch; the test split was not touched. A dry run has no epochs."""

    architecture: Architecture
    strategy: str
    trained_parameters: int
    class_names: list[str]
    replaced: list[str] = Field(description="what was freshly initialised, and what became of the head")
    preprocessing: Preprocessing
    precision: str
    num_train_images: int
    num_val_images: int
    parameters: list[PlannedParameter] = Field(description="every parameter in every phase")
    epochs: list[EpochResult]
    stopped_early: bool = Field(description="because further epochs brought nothing better")
    averaged: bool = Field(description="val and checkpoints are those of the moving average of the weights")
    best_epoch: int | None = Field(description="the best on val by best_by; best.safetensors")
    val_top1: float | None = Field(description="of the best epoch")
    val_balanced_accuracy: float | None = Field(description="of the best epoch")
    val_loss: float | None = Field(description="of the best epoch")
    seconds_waiting: float | None = Field(description="for images, in the training of all epochs")
    seconds_features: float | None = Field(
        description="for the features of a frozen backbone, computed or found, before the epochs"
    )
    peak_memory_bytes: int | None = Field(description="of the CUDA device, else of the process")


def describe_training(job: TrainingJob, fitted: Fitted | None, replaced: tuple[str, ...]) -> TrainResult:
    """Return the result; `fitted` is None in a dry run."""
    parameters, trained = dict(job.module.named_parameters()), job.plan.trained
    best = fitted.best if fitted else None
    return TrainResult(
        architecture=job.architecture,
        strategy=job.plan.strategy,
        trained_parameters=sum(parameter.numel() for name, parameter in parameters.items() if name in trained),
        class_names=list(job.data.train.class_names),
        replaced=list(replaced),
        preprocessing=job.preprocessing,
        precision=job.precision,
        num_train_images=len(job.data.train),
        num_val_images=len(job.data.val),
        parameters=list(_describe_parameters(job, parameters)),
        epochs=list(fitted.epochs) if fitted else [],
        stopped_early=fitted is not None and len(fitted.epochs) < job.config.epochs,
        averaged=job.config.ema is not None,
        best_epoch=best.epoch if best else None,
        val_top1=best.val_top1 if best else None,
        val_balanced_accuracy=best.val_balanced_accuracy if best else None,
        val_loss=best.val_loss if best else None,
        seconds_waiting=round(sum(epoch.seconds_waiting for epoch in fitted.epochs), 3) if fitted else None,
        seconds_features=round(fitted.seconds_features, 3) if fitted else None,
        peak_memory_bytes=fitted.peak_bytes if fitted else None,
    )


def _describe_parameters(job: TrainingJob, parameters: dict[str, nn.Parameter]) -> Iterator[PlannedParameter]:
    masked = {mask.tensor: len(mask.rows) / mask.num_rows for mask in job.plan.masks}
    for number, phase in enumerate(job.plan.phases, start=1):
        group_of = {name: group for group in phase.groups for name in group.parameters}
        for name, parameter in parameters.items():
            group = group_of.get(name)
            yield PlannedParameter(
                name=name,
                shape=tuple(parameter.shape),
                phase=number,
                group=group.name if group else FROZEN,
                lr=job.config.peak * group.rate if group else 0.0,
                weight_decay=(job.config.weight_decay or 0.0) if group and group.decays else 0.0,
                l2_sp=group.l2_sp if group else 0.0,
                l2=group.l2 if group else 0.0,
                masked=masked.get(name, 0.0),
            )

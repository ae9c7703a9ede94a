"""What the report of `tlv train` says beside its settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart
from tlvcli.pipelines.fit import EpochResult, Fitted, TrainingJob

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
    best_epoch: int | None = Field(description="highest val top-1, then lowest val loss; best.safetensors")
    val_top1: float | None = Field(description="of the best epoch")
    val_loss: float | None = Field(description="of the best epoch")


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
        best_epoch=best.epoch if best else None,
        val_top1=best.val_top1 if best else None,
        val_loss=best.val_loss if best else None,
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
                lr=job.lr * group.rate if group else 0.0,
                weight_decay=job.weight_decay if group and group.decays else 0.0,
                l2_sp=group.l2_sp if group else 0.0,
                l2=group.l2 if group else 0.0,
                masked=masked.get(name, 0.0),
            )

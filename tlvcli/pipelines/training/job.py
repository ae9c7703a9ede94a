"""A training run as a value: what is trained on what, and what came of each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import Field

from tlvcli.core.processes import ALONE, Processes
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.core.report import OutputInfo, ReportPart
from tlvcli.data.augmentation import Augmentation
from tlvcli.data.datasets import TrainingData
from tlvcli.methods.finetuning.plan import FinetunePlan
from tlvcli.pipelines.precision import Precision
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.crossover_source import CrossoverSource

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class TrainingJob:
    """A training run, resolved and checked; `fit` writes into `module`, which is on the device.

    `drop_single` leaves out a last batch of one image. `processes` share every batch.
    """

    config: TrainConfig
    module: nn.Module
    architecture: Architecture
    made_by: MadeBy
    data: TrainingData
    preprocessing: Preprocessing
    plan: FinetunePlan
    device: torch.device
    precision: Precision
    drop_single: bool
    crossover: CrossoverSource | None = None
    processes: Processes = ALONE

    @property
    def augmentation(self) -> Augmentation:
        """What is done to the images."""
        config = self.config
        return Augmentation(config.augment, config.mixup, config.cutmix, config.erasing, config.erasing_mode)


class EpochResult(ReportPart):
    """One epoch; a line of metrics.jsonl. With a moving average of the weights, val is measured with these."""

    epoch: int = Field(description="counted from 1")
    train_loss: float = Field(description="mean over the augmented images, in nats, without regularisers")
    val_loss: float = Field(description="mean cross-entropy in nats")
    val_top1: float
    val_balanced_accuracy: float = Field(description="mean over the classes of the share found of each")
    lr: float = Field(description="learning rate of the last step, without the groups' factors")
    seconds: float = Field(description="wall time of training and validation")
    images_per_second: float = Field(description="of training, with reading and augmenting")
    seconds_waiting: float = Field(description="for images, in training")
    waiting_share: float = Field(description="share of the time of training spent waiting for images")


@dataclass(frozen=True)
class Fitted:
    """The epochs of a run, the best of them, the files it wrote, and the most memory it took.

    `seconds_features` went by before the epochs, until the features of a frozen backbone were there.
    `peak_bytes` is the device's memory on CUDA, else that of the process.
    """

    epochs: tuple[EpochResult, ...]
    best: EpochResult
    outputs: tuple[OutputInfo, ...]
    peak_bytes: int
    seconds_features: float

"""The settings of `tlv train`, and how those that were left open are decided."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tlvcli.core.config import Config
from tlvcli.data.augmentation import ErasingMode
from tlvcli.methods.finetuning.options import numbers_of, parse_parts
from tlvcli.pipelines.precision import PrecisionName
from tlvcli.pipelines.training.optimizers import OptimizerName
from tlvcli.pipelines.training.recipe import RecipeName, with_recipe
from tlvcli.pipelines.training.schedules import ScheduleName

BestBy = Literal["top1", "balanced-accuracy", "loss"]
Parts = Annotated[float | str | None, BeforeValidator(parse_parts)]


def parse_milestones(value: Any) -> Any:
    """Return the numbers of `30,60`; what is no text is left to pydantic."""
    if isinstance(value, str):
        return tuple(value.split(","))
    return (value,) if isinstance(value, (int, float)) else value


Milestones = Annotated[tuple[float, ...] | None, BeforeValidator(parse_milestones)]

_SCHEDULE_KEYS = {"decay_epochs": ("step",), "decay_rate": ("step", "multistep"), "milestones": ("multistep",)}


class TrainConfig(Config):
    """Settings of `tlv train`; what is null by default is decided by the strategy, the optimiser or the data."""

    recipe: RecipeName | None = Field(None, description="settings of a published recipe, under those given here")
    checkpoint: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    data: str = Field(description="image folder, NAME:ROOT or digits, with @train or @train:N for a sample")
    out: str = Field(description="folder of the run: best and last checkpoint, metrics.jsonl, report.json")
    strategy: str = Field("full", description="which parameters train at which rate: a fine-tuning strategy's name")
    head: Literal["linear"] | None = Field(None, description="replace the whole classifier by one linear layer")
    epochs: int = Field(10, ge=1, description="passes over the training images")
    batch_size: int = Field(32, ge=1, description="images per batch, over all processes")
    lr: Parts = Field(
        None,
        description="peak learning rate; default: the strategy's for AdamW and Adam, ten times that for SGD; "
        "for non-binary also HEAD,HIGH,LOW",
    )
    optimizer: OptimizerName = Field("adamw", description="adamw, adam, or sgd with Nesterov momentum 0.9")
    weight_decay: float | None = Field(
        None, ge=0, description="none on biases and normalisation; default: 0.05 for AdamW, else 0.0005"
    )
    schedule: ScheduleName = Field("cosine", description="how the rate falls after the warm-up")
    warmup_epochs: float | None = Field(
        None,
        ge=0,
        description="epochs, or a part of one, in which the rate rises; default: 0.5, for one-cycle 30 % of a phase's",
    )
    decay_epochs: float | None = Field(None, gt=0, description="schedule step: epochs between decays; default: 30")
    decay_rate: float | None = Field(None, gt=0, le=1, description="step, multistep: factor at each; default: 0.1")
    head_rate: float | None = Field(None, gt=0, description="full: times lr, the rate of a fresh head; default: 10")
    backbone_lr_scale: float | None = Field(None, description="two-rate: times lr, the backbone's rate; default: 0.1")
    probe_epochs: int | None = Field(None, description="lp-ft: epochs that train the head alone; default: 3")
    tune_lr_scale: float | None = Field(None, description="lp-ft: times lr, the rate after the probe; default: 0.1")
    layer_decay: float | None = Field(
        None, description="layer-decay: factor on the rate from each unit to the one before it; default: 0.75"
    )
    new_layers: int | None = Field(
        None, description="layers that start afresh, from the output; default: 0, for non-binary 1"
    )
    num_lowlrs: int | None = Field(None, description="non-binary: layers from the input that train at LOW")
    regularizer: Literal["l2-sp"] | None = Field(
        None, description="l2-sp: weights are drawn to where they started, in place of weight decay"
    )
    l2sp: Parts = Field(
        None, description="weight of l2-sp, which it turns on; default: 0.01; for non-binary also HEAD,HIGH,LOW"
    )
    mask: str | None = Field(None, description="safetensors file that says which output channels are frozen")
    mask_scale: float | None = Field(
        None, ge=0, le=1, description="share of their update that masked channels take; default: 0, frozen to the bit"
    )
    milestones: Milestones = Field(
        None, description="schedule multistep: epochs at which the rate decays; default: at 60 and 80 % of a phase"
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target given to all classes")
    augment: str = Field(
        "standard",
        description="standard, none, randaugment, autoaugment, trivialaugment, or timm's words, as rand-m9-inc1",
    )
    mixup: float = Field(0.0, ge=0, description="MixUp: alpha of its Beta distribution; 0 is off")
    cutmix: float = Field(0.0, ge=0, description="CutMix: alpha of its Beta distribution; 0 is off")
    erasing: float = Field(0.0, ge=0, le=1, description="random erasing: probability for each image")
    erasing_mode: ErasingMode = Field("pixel", description="what erased areas hold: the mean colour or noise")
    shuffle: bool = Field(True, description="another order of the images in every epoch, not one drawn once")
    balanced: bool = Field(False, description="draw images with replacement, every class equally often")
    class_weights: Literal["balanced"] | None = Field(None, description="balanced: rare classes weigh more in the loss")
    ema: float | None = Field(
        None, gt=0, lt=1, description="decay per step of a moving average of the weights, which is then what is kept"
    )
    clip_norm: float | None = Field(None, gt=0, description="largest norm of the gradient over all parameters")
    accumulate: int = Field(1, ge=1, description="batches whose gradients are averaged into one step")
    patience: int | None = Field(None, ge=1, description="stop after so many epochs without a better one")
    best_by: BestBy = Field("top1", description="what makes an epoch the best: top1, balanced-accuracy or loss, on val")
    crossover: str | None = Field(
        None, description="source checkpoint whose pooled features cross into those of the network in training"
    )
    crossover_p: float | None = Field(
        None, gt=0, lt=1, description="crossover: probability that a feature is the source's; default: 0.1"
    )
    recommended_rates: bool = Field(True, description="take the layers' rates that the checkpoint recommends, if any")
    feature_cache: bool = Field(True, description="compute the features of a frozen backbone once")
    checkpoint_every: int | None = Field(None, ge=1, description="steps between states to resume from, beside epochs")
    image_size: int | None = Field(None, ge=8, description="input side in pixels; default: the checkpoint's")
    workers: int | None = Field(
        None, ge=0, description="processes that read images; default: by data and cores, up to 8"
    )
    precision: PrecisionName = Field("auto", description="auto (half where hardware has it), fp32, bf16 or fp16")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    channels_last: bool = Field(True, description="memory format of images and weights; faster on CPU and CUDA alike")
    compile: bool = Field(False, description="torch.compile the network")
    sync_bn: bool = Field(False, description="batch normalisation over all processes; on CUDA")
    tensorboard: bool = Field(False, description="write TensorBoard events into the run folder (extra tensorboard)")
    arch: str | None = Field(None, description="architecture of a checkpoint that does not name its own")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    seed: int = Field(0, ge=0, description="seeds new layers, the order of the images and their augmentation")
    data_seed: int = Field(0, ge=0, description="draws the sample of @train:N and the images held out for val")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    offline: bool = Field(False, description="never touch the network")
    dry_run: bool = Field(False, description="report what would train and how, write nothing")
    force: bool = Field(False, description="write over an earlier run in the same folder")

    @model_validator(mode="before")
    @classmethod
    def _lay_over_recipe(cls, values: Any) -> Any:
        if not isinstance(values, Mapping):
            return values
        return with_recipe({str(key).replace("-", "_"): value for key, value in values.items()})

    @model_validator(mode="after")
    def _rates_rise_and_fall(self) -> TrainConfig:
        if self.warmup_epochs is not None and self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs: {self.warmup_epochs:g} leaves nothing of {self.epochs} epochs")
        for key, schedules in _SCHEDULE_KEYS.items():
            if getattr(self, key) is not None and self.schedule not in schedules:
                raise ValueError(f"{key}: belongs to schedule {' or '.join(schedules)}, not {self.schedule}")
        if self.milestones is not None and not _climb(self.milestones, below=self.epochs):
            written = ",".join(f"{milestone:g}" for milestone in self.milestones)
            raise ValueError(f"milestones: {written} do not climb from above 0 to below {self.epochs}, the epochs")
        return self

    @model_validator(mode="after")
    def _something_is_learned(self) -> TrainConfig:
        if self.lr is not None and max(numbers_of(self.lr)) == 0:
            raise ValueError("lr: a rate of 0 for everything trains nothing")
        return self

    @model_validator(mode="after")
    def _belong_together(self) -> TrainConfig:
        if self.mask_scale is not None and self.mask is None:
            raise ValueError("mask_scale: there is no mask to scale")
        if self.crossover_p is not None and self.crossover is None:
            raise ValueError("crossover_p: there is no crossover source")
        if self.crossover is not None and self.compile:
            raise ValueError("compile: a compiled network does not let features cross; leave out one of the two")
        if self.balanced and not self.shuffle:
            raise ValueError("balanced: draws at random, which no shuffle excludes")
        if self.balanced and self.class_weights:
            raise ValueError("class_weights: balanced has evened out the classes already")
        if self.weight_decay and (self.l2sp is not None or self.regularizer == "l2-sp"):
            raise ValueError("weight_decay: l2-sp takes its place, and draws new weights to zero itself")
        for key in ("lr", "l2sp"):
            several = len(numbers_of(getattr(self, key) or 0)) == 3
            if several and self.strategy != "non-binary":
                raise ValueError(f"{key}: only non-binary tells HEAD, HIGH and LOW apart, not {self.strategy}")
            if several and self.num_lowlrs is None:
                raise ValueError(f"{key}: num_lowlrs must say how many layers from the input are the LOW ones")
        return self

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rate, or those of head, high and low layers; resolved."""
        assert self.lr is not None
        return numbers_of(self.lr)

    @property
    def peak(self) -> float:
        """The learning rate that all groups' rates are multiples of."""
        return max(self.rates)


def _climb(milestones: tuple[float, ...], *, below: float) -> bool:
    fence = (0.0, *milestones, below)
    return all(before < after for before, after in pairwise(fence))

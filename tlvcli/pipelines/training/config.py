"""The settings of `tlv train`, and how those that were left open are decided."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from tlvcli.core.config import Config, parse_config
from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.options import numbers_of, parse_parts
from tlvcli.methods.finetuning.table import STRATEGIES, Strategy
from tlvcli.pipelines.optimizers import DEFAULTS, OptimizerName
from tlvcli.pipelines.precision import PrecisionName
from tlvcli.pipelines.schedules import ScheduleName

Parts = Annotated[float | str | None, BeforeValidator(parse_parts)]


class TrainConfig(Config):
    """Settings of `tlv train`; what is null by default is decided by the strategy, the optimiser or the data."""

    checkpoint: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    data: str = Field(description="image folder, NAME:ROOT or digits, with @train or @train:N for a sample")
    out: str = Field(description="folder of the run: best and last checkpoint, metrics.jsonl, report.json")
    strategy: str = Field("full", description="which parameters train at which rate: a fine-tuning strategy's name")
    head: Literal["linear"] | None = Field(None, description="replace the whole classifier by one linear layer")
    epochs: int = Field(10, ge=1, description="passes over the training images")
    batch_size: int = Field(32, ge=1, description="images per step")
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
    warmup_epochs: float = Field(0.5, ge=0, description="epochs, or a part of one, in which the rate rises")
    decay_epochs: float | None = Field(None, gt=0, description="schedule step: epochs between decays; default: 30")
    decay_rate: float | None = Field(None, gt=0, le=1, description="schedule step: factor at each; default: 0.1")
    head_rate: float | None = Field(None, gt=0, description="full: times lr, the rate of a fresh head; default: 10")
    backbone_lr_scale: float | None = Field(None, description="two-rate: times lr, the backbone's rate; default: 0.1")
    probe_epochs: int | None = Field(None, description="lp-ft: epochs that train the head alone; default: 3")
    tune_lr_scale: float | None = Field(None, description="lp-ft: times lr, the rate after the probe; default: 0.1")
    layer_decay: float | None = Field(
        None, description="layer-decay: factor on the rate from each unit to the one before it; default: 0.75"
    )
    new_layers: int | None = Field(
        None, description="non-binary: layers that start afresh, from the output; default: 1, the classifier"
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
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="share of the target given to all classes")
    image_size: int | None = Field(None, ge=8, description="input side in pixels; default: the checkpoint's")
    workers: int | None = Field(
        None, ge=0, description="processes that read images; default: by data and cores, up to 8"
    )
    precision: PrecisionName = Field("auto", description="auto (half where hardware has it), fp32, bf16 or fp16")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    arch: str | None = Field(None, description="architecture of a checkpoint that does not name its own")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    seed: int = Field(0, ge=0, description="seeds new layers, the order of the images and their augmentation")
    data_seed: int = Field(0, ge=0, description="draws the sample of @train:N and the images held out for val")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    offline: bool = Field(False, description="never touch the network")
    dry_run: bool = Field(False, description="report what would train and how, write nothing")
    force: bool = Field(False, description="write over an earlier run in the same folder")

    @model_validator(mode="after")
    def _warm_up_ends(self) -> TrainConfig:
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs: {self.warmup_epochs:g} leaves nothing of {self.epochs} epochs")
        return self

    @model_validator(mode="after")
    def _something_is_learned(self) -> TrainConfig:
        if self.lr is not None and max(numbers_of(self.lr)) == 0:
            raise ValueError("lr: a rate of 0 for everything trains nothing")
        return self

    @model_validator(mode="after")
    def _belong_together(self) -> TrainConfig:
        for key in ("decay_epochs", "decay_rate"):
            if getattr(self, key) is not None and self.schedule != "step":
                raise ValueError(f"{key}: belongs to schedule step, not {self.schedule}")
        if self.mask_scale is not None and self.mask is None:
            raise ValueError("mask_scale: there is no mask to scale")
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


def resolve(config: TrainConfig, strategy: Strategy) -> tuple[TrainConfig, Config]:
    """Return the settings with everything decided, and among them the choices of the strategy by themselves.

    Raises:
        TlvError: `option-not-taken`, or `config-invalid` for a value that the strategy refuses.
    """
    options = parse_config(strategy.load_options(), _strategy_choices(config, strategy))
    defaults = DEFAULTS[config.optimizer]
    decided: dict[str, Any] = {"lr": strategy.lr * defaults.lr_scale, "weight_decay": defaults.weight_decay}
    decided |= options.model_dump()
    if config.schedule == "step":
        decided |= {"decay_epochs": 30.0, "decay_rate": 0.1}
    if config.regularizer == "l2-sp" or config.l2sp is not None:
        decided |= {"regularizer": "l2-sp", "l2sp": 0.01}
    if config.mask is not None:
        decided["mask_scale"] = 0.0
    open_ones = {key: value for key, value in decided.items() if getattr(config, key) is None}
    return config.model_copy(update=open_ones), options


def _strategy_choices(config: TrainConfig, strategy: Strategy) -> dict[str, Any]:
    takers: dict[str, list[str]] = {}
    for entry in STRATEGIES:
        for key in entry.load_options().model_fields:
            takers.setdefault(key, []).append(entry.name)
    given = {key: value for key in takers if (value := getattr(config, key)) is not None}
    for key in given:
        if strategy.name not in takers[key]:
            raise TlvError(
                "option-not-taken",
                f"strategy {strategy.name} does not take {key}",
                f"leave it out, or take --strategy {' or '.join(takers[key])}",
            )
    return given

"""The settings of `tlv eval`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from tlvcli.core.config import Config, WordList
from tlvcli.pipelines.evaluating.shares import share_or_same
from tlvcli.pipelines.precision import PrecisionName
from tlvcli.pipelines.preparation import InterpolationName, Mean, Std

DEFAULT_WORST = 8


class EvalConfig(Config):
    """Settings of `tlv eval`."""

    checkpoint: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    data: str = Field(description="image folder, NAME:ROOT or digits, with @SPLIT or @SPLIT:N; default split: test")
    against: WordList = Field(
        default_factory=list, description="more checkpoints, held against the first on these data"
    )
    class_map: str | None = Field(None, description="JSON, YAML or CSV: folder -> the checkpoint's class, or its index")
    min_accuracy: Annotated[float | None, BeforeValidator(share_or_same)] = Field(
        None, ge=0, le=1, description="exit 1 if top-1 is below it, as in 0.9 or 90%"
    )
    gate: WordList = Field(default_factory=list, description="exit 1 unless it holds, as in macro-f1>=0.8 or ece<0.05")
    bootstrap: int = Field(0, ge=0, description="resamples for the intervals of what is no plain share; 0: none")
    predictions: str | None = Field(None, description="CSV with a row for each image, of the first checkpoint")
    worst: int | None = Field(
        None, ge=0, description=f"most confident mistakes to list; default: {DEFAULT_WORST} with html, else none"
    )
    html: str | None = Field(None, description="one page of HTML, which needs no network")
    batch_size: int = Field(64, ge=1, description="images per forward pass; changes the speed only")
    image_size: int | None = Field(None, ge=8, description="input side in pixels; default: the checkpoint's")
    resize: int | None = Field(
        None, ge=8, description="short side before the crop, in pixels; default: by the checkpoint's margin"
    )
    mean: Mean | None = Field(None, description="of each channel, on a scale of 0 to 1; default: the checkpoint's")
    std: Std | None = Field(None, description="of each channel, on the same scale; default: the checkpoint's")
    interpolation: InterpolationName | None = Field(
        None, description="how images are resized; default: the checkpoint's"
    )
    skip_corrupt: bool = Field(False, description="leave out images that cannot be read, and name them")
    workers: int | None = Field(
        None, ge=0, description="processes that read images; default: by data and cores, up to 8"
    )
    precision: PrecisionName = Field("fp32", description="auto, fp32, bf16 or fp16; fp32 measures the same anywhere")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    arch: str | None = Field(None, description="architecture of a checkpoint that does not name its own")
    against_arch: str | None = Field(None, description="the same for those of against")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    seed: int = Field(0, ge=0, description="seeds the initialisation of ARCH@random, and the bootstrap")
    data_seed: int = Field(0, ge=0, description="draws the sample of @SPLIT:N")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")

    @property
    def num_worst(self) -> int:
        """How many mistakes are listed."""
        if self.worst is not None:
            return self.worst
        return DEFAULT_WORST if self.html else 0

    @model_validator(mode="after")
    def _refuse_idle(self) -> EvalConfig:
        if self.against_arch and not self.against:
            raise ValueError("against_arch belongs to against, and means nothing without it")
        return self

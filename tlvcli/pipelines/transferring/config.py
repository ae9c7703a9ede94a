"""The settings of `tlv transfer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from tlvcli.core.config import Config, known_keys
from tlvcli.methods.adaptation.options import CalibrateOptions
from tlvcli.methods.fitting.options import FitOptions
from tlvcli.methods.table import MAPPINGS, MATCHINGS, TRANSFER_METHODS
from tlvcli.pipelines.outputs import Dtype, ShardSize
from tlvcli.pipelines.preparation import InterpolationName, Mean, Std

_DATA = "image folder, with or without classes, NAME:ROOT or digits, with @SPLIT or @SPLIT:N; default: train, at most"


class FitSettings(FitOptions):
    """What the target is fitted on, and how."""

    data: str = Field(description=f"{_DATA} 1,000 images")
    source_size: int | None = Field(
        None, ge=8, description="pixels at which the source sees the images; default: as the target, if it can"
    )


class CalibrateSettings(CalibrateOptions):
    """What the target is calibrated on, and how."""

    data: str = Field(description=f"{_DATA} 500 images")


def _as_data(value: Any) -> Any:
    """Take `photos` for `{data: photos}`."""
    return {"data": value} if isinstance(value, str) else value


class TransferConfig(Config):
    """Settings of `tlv transfer`."""

    source: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    target_arch: str = Field(description="torchvision builder, timm:NAME, or path/to/file.py:callable")
    out: str | None = Field(None, description="safetensors file to write; a dry run needs none")
    method: str = Field("coherent", description="how the target is started: a transfer method's name")
    matching: dict[str, Any] = Field(default_factory=dict, description="which matching, by `method`, and its choices")
    mapping: dict[str, Any] = Field(default_factory=dict, description="which mapping, by `method`, and its choices")
    plan: str | None = Field(None, description="carry out this saved plan instead of making one")
    save_plan: str | None = Field(None, description="YAML file for the plan; its index maps go beside it")
    only: list[str] = Field(default_factory=list, description="globs of target layers: no other is written to")
    skip: list[str] = Field(default_factory=list, description="globs of target layers that are left alone")
    rescale: bool = Field(False, description="after the mapping: weights that the source feeds at He's variance")
    fit: Annotated[FitSettings | None, BeforeValidator(_as_data)] = Field(
        None, description="then: layers fitted to what the source computes on images without labels"
    )
    calibrate: Annotated[CalibrateSettings | None, BeforeValidator(_as_data)] = Field(
        None, description="then: outputs at unit variance and batch statistics of images without labels"
    )
    image_size: int | None = Field(
        None, ge=8, description="pixels of the images; default: the source's, else the data's"
    )
    resize: int | None = Field(
        None, ge=8, description="short side before the crop, in pixels; default: by the source's or the data's margin"
    )
    mean: Mean | None = Field(None, description="of each channel, on a scale of 0 to 1; default: as the size")
    std: Std | None = Field(None, description="of each channel, on the same scale; default: as the size")
    interpolation: InterpolationName | None = Field(None, description="how images are resized; default: as the size")
    data_seed: int = Field(0, ge=0, description="draws the images")
    download: bool = Field(False, description="fetch a torchvision data set that is not there")
    workers: int | None = Field(
        None, ge=0, description="processes that read images; default: by data and cores, up to 8"
    )
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N; computes what follows the mapping")
    num_classes: int | None = Field(None, ge=1, description="classes of the target; default: the source's, else 1000")
    in_chans: int | None = Field(None, ge=1, description="input channels of the target; default: the source's, else 3")
    seed: int = Field(0, ge=0, description="seeds the target's initialisation and every draw of the method")
    source_arch: str | None = Field(None, description="architecture of the source; default: what it says or shows")
    target_checkpoint: str | None = Field(None, description="start the target from this file, not from fresh noise")
    dtype: Dtype | None = Field(None, description="floating dtype of the output; default: the source's own")
    shard_size: ShardSize = Field(None, description="bytes in one file, as in 2GB, 500MB, 5GiB; larger is split")
    key: str | None = Field(None, description="which part of a nested source checkpoint, as in model_ema")
    min_coverage: float | None = Field(None, ge=0, le=1, description="gate: exit 1 if less of the target is taken")
    allow_nan: bool = Field(False, description="take NaN and Inf from the source as they are")
    report: str | None = Field(None, description="JSON report; default: OUT.report.json beside the output")
    dry_run: bool = Field(False, description="plan and report, write no checkpoint")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")

    @model_validator(mode="after")
    def _need_an_output(self) -> TransferConfig:
        if self.out is None and not self.dry_run:
            raise ValueError("out is missing; only a dry run needs none")
        return self

    @model_validator(mode="after")
    def _need_images(self) -> TransferConfig:
        for name in ("image_size", "resize", "mean", "std", "interpolation"):
            if getattr(self, name) is not None and not self.looks_at_images:
                raise ValueError(f"{name} needs fit or calibrate: nothing else looks at images")
        return self

    @property
    def looks_at_images(self) -> bool:
        """Whether a step after the mapping needs images."""
        return self.fit is not None or self.calibrate is not None

    @property
    def steps(self) -> tuple[str, ...]:
        """What follows the mapping, in this order."""
        asked: Mapping[str, Any] = {"rescale": self.rescale, "fit": self.fit, "calibrate": self.calibrate}
        return tuple(step for step, wanted in asked.items() if wanted)


def config_keys() -> list[str]:
    """Return every key that --config and --set take, the choices of all methods and their parts among them."""
    keys = [key for key in known_keys(TransferConfig) if key not in ("matching", "mapping")]
    keys += ["matching.method", "mapping.method"]
    for family, entries in (("matching", MATCHINGS), ("mapping", (*MAPPINGS, *TRANSFER_METHODS))):
        keys += [f"{family}.{key}" for entry in entries for key in known_keys(entry.load_options())]
    return list(dict.fromkeys(keys))

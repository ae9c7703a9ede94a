"""Settings of `tlv predict`."""

from __future__ import annotations

from pydantic import Field, model_validator

from tlvcli.core.config import Config
from tlvcli.data.named_images import LIST
from tlvcli.pipelines.precision import PrecisionName
from tlvcli.pipelines.preparation import InterpolationName, Mean, Std


class PredictConfig(Config):
    """Settings of `tlv predict`."""

    checkpoint: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    images: tuple[str, ...] = Field(min_length=1, description="files, folders, patterns; - is a list on standard input")
    null: bool = Field(False, description="names on standard input end in a zero byte, not in a newline")
    top: int = Field(1, ge=1, description="classes to name for each image, the most probable first")
    csv: str | None = Field(None, description="write the predictions to this file, and keep none in the report")
    jsonl: bool = Field(False, description="print a JSON object to a line as images come, and keep none in the report")
    features: str | None = Field(None, description="write what the classifier gets to this .safetensors, and no labels")
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
    workers: int | None = Field(None, ge=0, description="processes that read images; default: by the cores, up to 8")
    precision: PrecisionName = Field("fp32", description="auto, fp32, bf16 or fp16; fp32 gives the same anywhere")
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    arch: str | None = Field(None, description="architecture of a checkpoint that does not name its own")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    seed: int = Field(0, ge=0, description="seeds the initialisation of ARCH@random")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")

    @model_validator(mode="after")
    def _refuse_contradictions(self) -> PredictConfig:
        if self.features and (self.csv or self.jsonl or self.top > 1):
            raise ValueError("features are written in place of labels: leave out csv, jsonl and top")
        if self.images.count(LIST) > 1:
            raise ValueError("standard input (-) can be read once")
        return self

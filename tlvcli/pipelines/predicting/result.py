"""What `tlv predict` reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart

LabelSource = Literal["checkpoint", "imagenet", "index"]


class Candidate(ReportPart):
    """A class that an image may show."""

    label: str
    index: int = Field(description="output of the network")
    probability: float


class Prediction(ReportPart):
    """What one image shows, or why nobody knows."""

    path: str = Field(description="as it was named; bytes that are no UTF-8 are replaced")
    label: str | None = Field(None, description="the most probable class; null where the image cannot be read")
    index: int | None = Field(None, description="its output of the network")
    probability: float | None = None
    top: list[Candidate] = Field(default=[], description="the most probable classes, as many as --top asks for")
    error: str | None = Field(None, description="why the image cannot be read")


class ClassCount(ReportPart):
    """How many images show a class most probably."""

    label: str
    index: int
    images: int


class UnreadableImage(ReportPart):
    """An image that was named and could not be read."""

    path: str
    error: str


class FeaturesWritten(ReportPart):
    """The tensor `features` of the file that --features names."""

    images: int
    dimensions: int
    before: str | None = Field(description="the classifier that gets them; null where they are the outputs")


class PredictResult(ReportPart):
    """What the images show, or where their features are."""

    images: int = Field(description="as many as were named, readable or not")
    unreadable: list[UnreadableImage]
    classes: list[ClassCount] = Field(description="the most frequent first; empty with --features")
    predictions: list[Prediction] | None = Field(
        description="in the order of the images; null where they went to --csv, --jsonl or --features"
    )
    features: FeaturesWritten | None
    images_per_second: float = Field(description="with reading and preparing the images")
    num_classes: int = Field(description="outputs of the network")
    labels_from: LabelSource = Field(description="what names the classes: the checkpoint, ImageNet's list, or nothing")
    architecture: Architecture
    preprocessing: Preprocessing
    precision: str

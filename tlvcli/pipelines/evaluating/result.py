"""What `tlv eval` reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.file_names import NamedText
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart

MatchedBy = Literal["name", "index", "wnid", "map"]
# More classes than this, and the confusion matrix would be larger than all else together.
MOST_CONFUSION_CLASSES = 1000


class Interval(ReportPart):
    """Where the figure lies with 95 % confidence, were other images of the same kind taken."""

    low: float
    high: float
    method: Literal["wilson", "bootstrap", "newcombe"]


class ClassMeasures(ReportPart):
    """One class that occurs among the labels or the predictions."""

    name: str = Field(description="as the checkpoint calls it")
    index: int = Field(description="its output of the network")
    images: int = Field(description="images of the class; the averages leave out classes that have none")
    predicted: int = Field(description="images taken for it")
    found: int = Field(description="images of the class taken for it")
    precision: float | None = Field(description="found of predicted; null where nothing was taken for it")
    recall: float | None = Field(description="found of images; null where the data have none of it")
    f1: float | None = Field(description="harmonic mean of both; null where the data have none of it")


class Average(ReportPart):
    """Means over the classes that have images, each counting the same; a precision of null counts as 0."""

    precision: float
    recall: float = Field(description="the same figure as balanced_accuracy")
    f1: float


class CalibrationBin(ReportPart):
    """The images whose top-1 probability lies above `low` and not above `high`."""

    low: float
    high: float
    images: int
    confidence: float | None = Field(description="mean top-1 probability; null without images")
    accuracy: float | None = Field(description="share that is right; null without images")


class Calibration(ReportPart):
    """Whether the probability of an answer is the share of such answers that are right."""

    ece: float = Field(description="mean gap of confidence and accuracy over the bins, by their images")
    mce: float = Field(description="the largest gap of a bin")
    bins: list[CalibrationBin] = Field(description="15 of equal width; the first also holds 0")


class ConfusedPair(ReportPart):
    """Images of one class that were taken for another."""

    true: str
    predicted: str
    images: int
    share: float = Field(description="of the images of the class")


class Mistake(ReportPart):
    """An image that the network gets wrong."""

    path: NamedText = Field(description="file, or a phrase that finds the image")
    position: int = Field(description="in the data set, from 0")
    label: str
    prediction: str
    probability: float = Field(description="of the prediction")
    label_probability: float


class Measures(ReportPart):
    """What one checkpoint is worth on the images."""

    images: int
    top1: float = Field(description="share of images whose class comes first")
    top1_interval: Interval
    top5: float | None = Field(description="share whose class is among the first five; null below 6 classes")
    top5_interval: Interval | None
    loss: float = Field(description="mean cross-entropy in nats, which is the negative log-likelihood")
    brier: float = Field(description="mean squared distance of the probabilities from the truth, 0 to 2")
    balanced_accuracy: float = Field(description="mean recall of the classes that have images")
    macro: Average
    calibration: Calibration
    intervals: dict[str, Interval] = Field(
        description="of --bootstrap: loss, brier, balanced-accuracy, macro-precision, macro-f1, ece, mce; else empty"
    )
    images_per_second: float = Field(
        description="with reading and preparing the images; checkpoints that see the same images share the time"
    )
    num_classes: int = Field(description="outputs of the network")
    classes_matched_by: MatchedBy
    classes: list[ClassMeasures] = Field(description="in the order of the outputs")
    confusion: list[list[int]] | None = Field(
        description=f"[true, predicted] in the order of classes; null above {MOST_CONFUSION_CLASSES} of them"
    )
    confused: list[ConfusedPair] = Field(description="the 20 most frequent confusions, the most frequent first")
    worst: list[Mistake] = Field(description="the most confident mistakes, the most confident first")
    architecture: Architecture
    preprocessing: Preprocessing
    precision: str


class Difference(ReportPart):
    """Another checkpoint's top-1 less the first one's, and McNemar's exact test of it."""

    top1: float = Field(description="above 0 where the other is better")
    interval: Interval
    only_first: int = Field(description="images that the first one alone gets right")
    only_other: int = Field(description="images that the other one alone gets right")
    p_value: float = Field(description="two-sided; of several checkpoints not corrected for their number")


class Rival(ReportPart):
    """A checkpoint given by --against, on the same images."""

    checkpoint: str
    measures: Measures
    difference: Difference


class EvalResult(Measures):
    """The measures of the checkpoint, what it was measured on, and those it was held against."""

    split: str
    skipped: list[NamedText] = Field(description="images that could not be read, with --skip-corrupt")
    peak_memory_bytes: int = Field(description="on a GPU of its tensors, else of the process")
    against: list[Rival]

"""What the page of `tlv eval` shows: plain values, in the words that a reader sees; shares are of 1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlvcli.pages.class_bars import ClassShares
from tlvcli.pages.confusion_chart import Confusion
from tlvcli.pages.reliability_chart import ReliabilityBin
from tlvcli.pages.values import Facts, Origin


@dataclass(frozen=True)
class NumberView:
    """One measured number as text, its 95 % interval where it has one, and what it means in a few words."""

    name: str
    text: str
    interval: str | None
    meaning: str


@dataclass(frozen=True)
class GateView:
    """A condition that the user set, and what was found."""

    flag: str
    met: bool
    message: str


@dataclass(frozen=True)
class ClassView:
    """One row of the table of classes; `mostly` says what its images are most often taken for."""

    name: str
    images: int
    shares: ClassShares
    mostly: str


@dataclass(frozen=True)
class PairView:
    """Images of class `true` that are taken for class `predicted`, and how many the other way round, where known."""

    true: str
    predicted: str
    images: int
    share: float
    back: int | None


@dataclass(frozen=True)
class MistakeView:
    """An image that is named wrong, and the network's probabilities of its own answer and of the true class."""

    where: str
    true: str
    predicted: str
    probability: float
    true_probability: float
    photograph: str
    is_small: bool


@dataclass(frozen=True)
class RivalView:
    """One row of the table of checkpoints; the first one, which all are held against, has no difference."""

    name: str
    top1: str
    interval: str
    macro_f1: str
    loss: str
    difference: str | None = None
    difference_interval: str | None = None
    only_first: int | None = None
    only_this: int | None = None
    p_value: str | None = None


@dataclass(frozen=True)
class ClassDifference:
    """The recall of a class by the first checkpoint and by another."""

    name: str
    images: int
    first: float
    other: float

    @property
    def change(self) -> float:
        """The recall of the other less that of the first."""
        return self.other - self.first


@dataclass(frozen=True)
class RivalClasses:
    """The classes whose recall another checkpoint changes most, the greatest loss first, of all that have images."""

    name: str
    classes: Sequence[ClassDifference]
    num_classes: int


@dataclass(frozen=True)
class EvaluationPage:
    """One checkpoint on one labelled data set, and those it was held against.

    `classes` are sorted by recall, the worst first. `confusion` is None where there are too many classes; what the
    classes without images were taken for is in `foreign`, a sentence.
    """

    checkpoint: str
    data: str
    verdict: Sequence[str]
    numbers: Sequence[NumberView]
    gates: Sequence[GateView]
    facts: Facts
    confusion: Confusion | None
    pairs: Sequence[PairView]
    classes: Sequence[ClassView]
    foreign: str | None
    bins: Sequence[ReliabilityBin]
    calibration: Sequence[str]
    mistakes: Sequence[MistakeView]
    num_mistakes: int
    rivals: Sequence[RivalView]
    rival_classes: Sequence[RivalClasses]
    origin: Origin

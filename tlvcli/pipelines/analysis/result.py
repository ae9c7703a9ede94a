"""The report of a shift: two sets of images through one network, layer by layer and kernel by kernel."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.file_names import NamedText
from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.core.report import ReportPart

Rule = Literal["null percentile", "threshold", "fraction", "alpha", "seed-kl"]


class NullBand(ReportPart):
    """Percentiles of a layer's distances between random halves of the source: what no shift looks like."""

    low: float = Field(description="5th percentile")
    median: float
    high: float = Field(description="95th percentile")


class LayerStatistic(ReportPart):
    """What one statistic says about one layer."""

    name: str
    distance: float = Field(description="of the layer: the median over its kernels, or the statistic's one number")
    null: NullBand | None = Field(description="null where none was drawn")
    threshold: float | None = Field(description="what lies beyond it is shifted; null where q-values decide")
    shifted: int | None = Field(
        description="kernels that this statistic finds shifted; null where the rule is none for it"
    )
    kernels: list[float] | None = Field(description="distance of each kernel; null for a statistic of whole layers")
    p_values: list[float] | None = Field(description="of each kernel, or one of the layer; null where there are none")
    q_values: list[float] | None = Field(description="these after Benjamini and Hochberg, over all layers")
    effect_sizes: list[float] | None = Field(description="welch-t: Cohen's d of each kernel, target less source")


class ShiftedLayer(ReportPart):
    """One layer: how far its activations are apart, and which of its kernels are shifted."""

    name: str
    kind: str
    stage: Literal["output", "normalised", "activated"] = Field(
        description="where it was read: its own output, or behind the normalisation or activation that follows it"
    )
    weight: str = Field(description="tensor that a mask names")
    channels: int
    values_per_image: int = Field(description="of each kernel")
    shifted: int = Field(description="kernels beyond the threshold of the first statistic")
    share: float = Field(description="of its kernels")
    specific: list[int] = Field(description="numbers of the shifted kernels, which want training; the rest is general")
    statistics: list[LayerStatistic] = Field(description="in the order asked for; the first decides")


class OverallShift(ReportPart):
    """The layers together."""

    kernels: int
    shifted: int
    share: float = Field(description="of the kernels")
    expected_share: float | None = Field(description="without any shift; null where the rule does not say")
    early_share: float = Field(description="of the kernels in the first third of the layers")
    late_share: float = Field(description="of those in the last third")
    general_layers: list[str] = Field(description="layers with no more shifted kernels than chance explains")
    most_shifted: list[str] = Field(description="up to three layers with the largest share, the largest first")
    advice: str


class ImagesSeen(ReportPart):
    """One of the two sets of images."""

    data: str
    split: str
    images: int = Field(description="that went through the network")
    skipped: list[NamedText] = Field(description="images that could not be read, with --skip-corrupt")


class ShiftSection(ReportPart):
    """Two sets of images through one network."""

    architecture: Architecture
    preprocessing: Preprocessing = Field(description="of both sets")
    source: ImagesSeen
    target: ImagesSeen
    at: Literal["pre", "post"]
    select: Literal["kernels", "layers"]
    rule: Rule = Field(description="what decides that a kernel is shifted")
    not_called: list[str] = Field(description="layers that were chosen, and that the network never calls")
    layers: list[ShiftedLayer] = Field(description="in the order in which the network calls them")
    overall: OverallShift

"""What the pages show: plain values, in the words that a reader sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tlvcli.pages.distance_chart import LayerPoint
from tlvcli.pages.distribution_chart import Distribution
from tlvcli.pages.matrix_chart import Side

Facts = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Origin:
    """Where a page comes from: the command, what it read with sha256 where known, versions, and what was warned of."""

    command: str
    facts: Facts
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class StatisticView:
    """One distance over all layers."""

    name: str
    meaning: str
    points: Sequence[LayerPoint]


@dataclass(frozen=True)
class LayerView:
    """One row of the table of kernels; without distances of kernels there is no strip."""

    name: str
    stage: str
    channels: int
    distance: float
    threshold: float | None
    shifted: int
    share: float
    kernels: Sequence[float] | None
    specific: Sequence[int]


@dataclass(frozen=True)
class DrivingImage:
    """An image of one set that is far from the other set: `times` the |a| that is typical there (geometric means)."""

    role: Literal["source", "target"]
    where: str
    photograph: str
    map: str
    times: float


@dataclass(frozen=True)
class KernelView:
    """One kernel on both sets; `maps` go with the layer's photographs, source first."""

    number: int
    role: str
    distance: float
    is_specific: bool
    source: Distribution
    target: Distribution
    source_maps: Sequence[str] = ()
    target_maps: Sequence[str] = ()
    driving: Sequence[DrivingImage] = ()


@dataclass(frozen=True)
class LayerKernels:
    """The kernels of one layer that are shown, the most shifted first."""

    name: str
    share: float
    kernels: Sequence[KernelView]


@dataclass(frozen=True)
class ShiftPage:
    """Two sets of images through one network."""

    network: str
    source: str
    target: str
    verdict: Sequence[str]
    facts: Facts
    statistics: Sequence[StatisticView]
    expected_share: float | None
    layers: Sequence[LayerView]
    larger_is_shifted: bool
    edges: Sequence[float]
    source_photographs: Sequence[str]
    target_photographs: Sequence[str]
    shown: Sequence[LayerKernels]
    folded: Sequence[LayerKernels]
    sampled: str
    origin: Origin


@dataclass(frozen=True)
class PartnerView:
    """A layer, and the layer of the other network that is most like it."""

    name: str
    best: str | None
    best_cka: float | None
    same_cka: float | None


@dataclass(frozen=True)
class SimilarityPage:
    """One set of images through two networks; `partners` has the layers of the first, then of the second."""

    networks: tuple[str, str]
    data: str
    verdict: Sequence[str]
    matrix: Sequence[Sequence[float | None]]
    sides: tuple[Side, Side]
    partners: tuple[Sequence[PartnerView], Sequence[PartnerView]]
    origin: Origin = field(kw_only=True)

"""What the page of `tlv compare` shows: plain values, in the words that a reader sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlvcli.pages.line_chart import Line, Reference
from tlvcli.pages.values import Origin


@dataclass(frozen=True)
class TableView:
    """Cells of text, the head first; `numbers` are columns of figures, `best` the row that stands out, from 0."""

    rows: Sequence[Sequence[str]]
    numbers: Sequence[int]
    best: int | None


@dataclass(frozen=True)
class PointView:
    """One point of a variant's grid: its settings, val and test top-1 in words."""

    variant: str
    settings: str
    val: str
    test: str
    is_default: bool
    is_chosen: bool


@dataclass(frozen=True)
class CellView:
    """One cell: what came of it, and its commands."""

    name: str
    outcome: str
    failed: bool
    commands: Sequence[str]


@dataclass(frozen=True)
class ChartView:
    """Lines that are read together; the title is empty where there is one chart."""

    title: str
    lines: Sequence[Line]


@dataclass(frozen=True)
class ComparisonPage:
    """Starts and strategies on one data set; `has_bands` where lines are means over several seeds."""

    heading: str
    verdict: Sequence[str]
    table: TableView
    notes: Sequence[str]
    charts: Sequence[ChartView]
    has_bands: bool
    reference: Reference | None
    points: Sequence[PointView]
    cells: Sequence[CellView]
    origin: Origin

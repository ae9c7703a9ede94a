"""Whether a network that is 80 % sure is right 8 times in 10, and how sure it is how often."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tlvcli.pages.drawing import drawing, tick_lines, upright_title
from tlvcli.pages.scales import Scale
from tlvcli.pages.svg import Attribute, element, tooltip

_WIDTH, _LEFT, _RIGHT, _TOP = 486, 62, 20, 12
_SIDE, _GAP, _COUNTS, _FOOT = 300, 26, 70, 42
_TICKS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
# What is right in a bin of fewer images says little: it is drawn paler.
_FEW = 10


@dataclass(frozen=True)
class ReliabilityBin:
    """Images whose first answer has a probability between `low` and `high`; shares of 1.

    `confidence` is the mean of those probabilities and `accuracy` the share that is right, with its 95 % interval.
    """

    low: float
    high: float
    images: int
    confidence: float | None
    accuracy: float | None
    interval: tuple[float, float] | None


def reliability_chart(bins: Sequence[ReliabilityBin]) -> Markup:
    """Return an SVG: bars of what is right by how sure the network is, the gap to both being equal, counts below."""
    across = Scale(0, 1, _LEFT, _WIDTH - _RIGHT, False, _TICKS)
    up = Scale(0, 1, _TOP + _SIDE, _TOP, False, _TICKS)
    total = sum(each.images for each in bins)
    most = max(each.images for each in bins) / total
    top = _TOP + _SIDE + _GAP
    counts = Scale(0, most, top + _COUNTS, top, False, (0.0, most))
    parts = [*_grid(up), *_grid(counts), upright_title("share that is right", (_TOP + _TOP + _SIDE) / 2)]
    parts.append(upright_title("images", top + _COUNTS / 2))
    parts += [_bin(each, across, up, counts, total) for each in bins]
    # Above the bars: where the network is well calibrated they end on it.
    ends: dict[str, Attribute] = {"x1": across.place(0), "y1": up.place(0), "x2": across.place(1), "y2": up.place(1)}
    parts.append(element("line", tooltip("as right as it is sure"), class_="expected", **ends))
    parts += [_marks(each, across, up) for each in bins]
    bottom = top + _COUNTS
    for tick in _TICKS:
        x = across.place(tick)
        parts.append(element("text", f"{tick:.0%}", class_="tick", x=x, y=bottom + 18, text_anchor="middle"))
    middle, height = (_LEFT + _WIDTH - _RIGHT) / 2, bottom + _FOOT
    label = "probability of the first answer"
    parts.append(element("text", label, class_="title", x=middle, y=height - 6, text_anchor="middle"))
    return drawing("reliability diagram", *parts, width=_WIDTH, height=height, class_="chart reliability")


def _grid(scale: Scale) -> list[Markup]:
    return tick_lines(scale, _LEFT, _WIDTH - _RIGHT, "{:.0%}".format)


def _bin(each: ReliabilityBin, across: Scale, up: Scale, counts: Scale, total: int) -> Markup:
    """Return the bar of one bin, what it lacks to its confidence or has too much, and its count."""
    x = across.place(each.low) + 1
    width = across.place(each.high) - across.place(each.low) - 2
    y = counts.place(each.images / total)
    parts = [element("rect", class_="count", x=x, width=width, y=y, height=counts.place(0) - y)]
    if each.accuracy is not None and each.confidence is not None:
        accuracy, confidence = up.place(each.accuracy), up.place(each.confidence)
        top, bottom = min(accuracy, confidence), max(accuracy, confidence)
        kind = "over" if each.confidence > each.accuracy else "under"
        parts.append(element("rect", class_="correct", x=x, width=width, y=bottom, height=up.place(0) - bottom))
        parts.append(element("rect", class_=f"gap {kind}", x=x, width=width, y=top, height=bottom - top))
    return element("g", tooltip(_say(each)), *parts, class_="bin few" if each.images < _FEW else "bin")


def _marks(each: ReliabilityBin, across: Scale, up: Scale) -> Markup:
    if each.accuracy is None or each.confidence is None:
        return Markup("")
    x = across.place(each.confidence)
    parts = [element("circle", class_="dot", cx=x, cy=up.place(each.accuracy), r=3.2)]
    if each.interval:
        low, high = (up.place(end) for end in each.interval)
        parts.append(element("line", class_="whisker", x1=x, x2=x, y1=low, y2=high))
    return element("g", tooltip(_say(each)), *parts, class_="mark few" if each.images < _FEW else "mark")


def _say(each: ReliabilityBin) -> str:
    span = f"{each.low:.0%} to {each.high:.0%} sure: {each.images:,} images"
    if each.accuracy is None or each.confidence is None:
        return span
    ends = f" ({each.interval[0]:.1%} to {each.interval[1]:.1%})" if each.interval else ""
    return f"{span}, {each.confidence:.1%} on average, {each.accuracy:.1%} right{ends}"

"""The layers from the input to the output: how far apart, what no shift looks like, and the share that is shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from markupsafe import Markup

from tlvcli.pages.drawing import drawing, tick_lines, upright_title
from tlvcli.pages.scales import Scale, make_scale
from tlvcli.pages.svg import element, figure_text, polyline, tooltip

_LEFT, _RIGHT, _TOP = 64, 12, 14
_DISTANCE_HEIGHT, _GAP, _SHARE_HEIGHT = 220, 26, 72
_WIDTH, _LEAST_STEP = 1040, 15
_LETTER, _LONGEST_NAME = 7.0, 30
_BAND_ROOM = 10


@dataclass(frozen=True)
class Band:
    """5th, 50th and 95th percentile of a layer's distance without a shift."""

    low: float
    median: float
    high: float


@dataclass(frozen=True)
class LayerPoint:
    """One layer on the chart; `share` of its kernels is shifted, None where this statistic does not judge."""

    name: str
    distance: float
    band: Band | None
    share: float | None


def distance_chart(points: Sequence[LayerPoint], statistic: str, expected_share: float | None) -> Markup:
    """Return an SVG as wide as its box, with a bar chart of the shares below where every layer has one."""
    width = max(_WIDTH, _LEFT + _RIGHT + _LEAST_STEP * len(points))
    step = (width - _LEFT - _RIGHT) / len(points)
    places = [_LEFT + (number + 0.5) * step for number in range(len(points))]
    has_shares = all(point.share is not None for point in points)
    bottom = _TOP + _DISTANCE_HEIGHT
    scale = make_scale(_values(points), bottom, _TOP)
    parts = [element("g", *tick_lines(scale, _LEFT, width - _RIGHT, figure_text))]
    parts += [upright_title(statistic, (_TOP + bottom) / 2), *_bands(points, places, step, scale)]
    line = [(place, scale.place(point.distance)) for point, place in zip(points, places, strict=True)]
    parts.append(element("path", class_="line target", d=polyline(line)))
    parts += [
        element("circle", tooltip(_say(point)), class_="dot", cx=x, cy=y, r=4.5)
        for point, (x, y) in zip(points, line, strict=True)
    ]
    if has_shares:
        top, bottom = bottom + _GAP, bottom + _GAP + _SHARE_HEIGHT
        parts += _shares(points, places, step, expected_share, (top, bottom), width)
    names = [_elide(point.name) for point in points]
    turns = [f"translate({x + 4:.1f} {bottom + 8}) rotate(-90)" for x in places]
    parts += [
        element("text", tooltip(point.name), name, class_="name", text_anchor="end", transform=turn)
        for point, name, turn in zip(points, names, turns, strict=True)
    ]
    height = bottom + 14 + _LETTER * max(map(len, names))
    style = f"min-width:{0.8 * width:.0f}px"
    return drawing(f"{statistic} of each layer", *parts, width=width, height=height, class_="chart", style=style)


def _values(points: Sequence[LayerPoint]) -> list[float]:
    """What the axis must hold: ends of bands only where they are near, for one that is wide would flatten all else."""
    bands = [point.band for point in points if point.band]
    middle = [*(point.distance for point in points), *(band.median for band in bands)]
    least = min((value for value in middle if value > 0), default=0.0) / _BAND_ROOM
    most = max(middle) * _BAND_ROOM
    return [*middle, *(end for band in bands for end in (band.low, band.high) if least <= end <= most)]


def _say(point: LayerPoint) -> str:
    band = f"; without a shift {figure_text(point.band.low)} to {figure_text(point.band.high)}" if point.band else ""
    share = "" if point.share is None else f"; {point.share:.0%} of its kernels shifted"
    return f"{point.name}: {figure_text(point.distance)}{band}{share}"


def _bands(points: Sequence[LayerPoint], places: Sequence[float], step: float, scale: Scale) -> list[Markup]:
    """Steps rather than a slope: between two layers there is nothing; layers without a null leave a gap."""
    parts = []
    for has_band, run in groupby(zip(points, places, strict=True), key=lambda pair: pair[0].band is not None):
        if not has_band:
            continue
        upper: list[tuple[float, float]] = []
        middle: list[tuple[float, float]] = []
        lower: list[tuple[float, float]] = []
        for point, place in run:
            assert point.band is not None
            ends = place - step / 2, place + step / 2
            for line, value in ((upper, point.band.high), (middle, point.band.median), (lower, point.band.low)):
                line += [(end, scale.place(value)) for end in ends]
        parts.append(element("path", class_="null", d=f"{polyline([*upper, *reversed(lower)])}Z"))
        parts.append(element("path", class_="line null-median", d=polyline(middle)))
    return parts


def _shares(
    points: Sequence[LayerPoint],
    places: Sequence[float],
    step: float,
    expected: float | None,
    ends: tuple[float, float],
    width: float,
) -> list[Markup]:
    top, bottom = ends
    scale = Scale(0, 1, bottom, top, False, (0, 0.5, 1))
    parts = [element("g", *tick_lines(scale, _LEFT, width - _RIGHT, "{:.0%}".format))]
    parts.append(upright_title("shifted", (top + bottom) / 2))
    bar = min(0.72 * step, 28)
    for point, place in zip(points, places, strict=True):
        share = point.share or 0.0
        y = scale.place(share)
        parts.append(
            element("rect", tooltip(_say(point)), class_="bar", x=place - bar / 2, y=y, width=bar, height=bottom - y)
        )
    if expected:
        y = scale.place(expected)
        label = tooltip(f"{expected:.0%} without a shift")
        parts.append(element("line", label, class_="expected", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y))
    return parts


def _elide(name: str) -> str:
    if len(name) <= _LONGEST_NAME:
        return name
    tail = 2 * _LONGEST_NAME // 3
    return f"{name[: _LONGEST_NAME - tail - 1]}…{name[-tail:]}"

"""Lines over a common axis, such as accuracy by epoch: each with the band that its runs spread over."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tlvcli.pages.drawing import drawing, tick_lines, upright_title
from tlvcli.pages.scales import Scale, linear_scale
from tlvcli.pages.svg import element, figure_text, polyline, tooltip

_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 12, 12, 44
_MOST_DOTS = 60
_LEAST_SHARE, _MOST_SHARE = 0.75, 1.25
# Colours there are in the style sheet, and dashes that tell apart the lines of one colour.
COLOURS = 8
_DASHES = ("", "7 4", "2 3", "9 3 2 3")


@dataclass(frozen=True)
class LinePoint:
    """The mean at `x`, and the ends of its spread; both are the mean where there is one run."""

    x: float
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Line:
    """One line with its name in the legend; its points are sorted by x, and lines may end early."""

    name: str
    points: Sequence[LinePoint]


@dataclass(frozen=True)
class Reference:
    """A value that all lines are read against, drawn dashed from side to side."""

    name: str
    value: float


def line_chart(
    lines: Sequence[Line],
    *,
    title: str,
    x_label: str,
    y_label: str,
    percent: bool = False,
    reference: Reference | None = None,
    width: int = 760,
    height: int = 340,
) -> Markup:
    """Return an SVG of `width` by `height` pixels that a narrower box shrinks; `percent` is for shares of 1.

    The axis of y ends near the values and need not hold zero. The legend is apart: `line_legend`.
    """
    across = _across([point.x for line in lines for point in line.points], width)
    spread = [end for line in lines for point in line.points for end in (point.low, point.mean, point.high)]
    held = [*spread, *([reference.value] if reference else [])]
    if percent:  # a mean with its deviation may lie beyond what a share can be
        held = [min(max(value, 0.0), 1.0) for value in held]
    up = linear_scale(held, height - _BOTTOM, _TOP)
    parts = [_axes(across, up, width, height, percent=percent)]
    middle = (_LEFT + width - _RIGHT) / 2
    parts.append(element("text", x_label, class_="title", text_anchor="middle", x=middle, y=height - 6))
    parts.append(upright_title(y_label, (_TOP + height - _BOTTOM) / 2))
    if reference:
        y = up.place(reference.value)
        text = tooltip(f"{reference.name}: {_say(reference.value, percent=percent)}")
        parts.append(element("line", text, class_="expected", x1=_LEFT, x2=width - _RIGHT, y1=y, y2=y))
    # All bands below all lines: a band must not hide what another line does.
    parts += [_band(line, number, across, up) for number, line in enumerate(lines)]
    parts += [_line(line, number, across, up, x_label, percent=percent) for number, line in enumerate(lines)]
    style = f"min-width:{_LEAST_SHARE * width:.0f}px;max-width:{_MOST_SHARE * width:.0f}px"
    return drawing(title, *parts, width=width, height=height, class_="chart", style=style)


def line_legend(lines: Sequence[Line], reference: Reference | None = None) -> Markup:
    """Return a paragraph that names the lines of `line_chart`, each beside a piece of it."""
    entries = [_entry(line.name, _stroke(number)) for number, line in enumerate(lines)]
    if reference:
        entries.append(_entry(reference.name, {"class_": "expected"}))
    return element("p", *entries, class_="legend")


def _entry(name: str, stroke: dict[str, str]) -> Markup:
    piece = element("line", x1=0, x2=26, y1=6, y2=6, **stroke)
    return element("span", element("svg", piece, width=26, height=12, aria_hidden="true"), name)


def _stroke(number: int) -> dict[str, str]:
    dash = _DASHES[number // COLOURS % len(_DASHES)]
    return {"class_": f"series-line {_colour(number)}", **({"stroke_dasharray": dash} if dash else {})}


def _colour(number: int) -> str:
    return f"series-{1 + number % COLOURS}"


def _across(values: Sequence[float], width: int) -> Scale:
    """Return the axis of x, which starts and ends with the values; of whole ones, as epochs are, no ticks between."""
    least, most = min(values), max(values)
    if least == most:
        least, most = least - 0.5, most + 0.5
    is_whole = all(float(value).is_integer() for value in values)
    ticks = linear_scale([least, most], 0, 1).ticks
    kept = tuple(tick for tick in ticks if least <= tick <= most and (not is_whole or math.isclose(tick, round(tick))))
    return Scale(least, most, _LEFT + 8, width - _RIGHT - 8, False, kept)


def _axes(across: Scale, up: Scale, width: int, height: int, *, percent: bool) -> Markup:
    bottom = height - _BOTTOM
    decimals = _percent_decimals(up) if percent else 0
    text_of = f"{{:.{decimals}%}}".format if percent else figure_text
    parts = tick_lines(up, _LEFT, width - _RIGHT, text_of)
    for tick in across.ticks:
        x = across.place(tick)
        parts.append(element("text", figure_text(tick), class_="tick", x=x, y=bottom + 18, text_anchor="middle"))
    return element("g", *parts)


def _percent_decimals(scale: Scale) -> int:
    step = 100 * (scale.ticks[1] - scale.ticks[0])
    return max(0, math.ceil(-math.log10(step) - 1e-9))


def _band(line: Line, number: int, across: Scale, up: Scale) -> Markup:
    if all(point.low == point.high for point in line.points):
        return Markup("")
    upper = [(across.place(point.x), up.place(point.high)) for point in line.points]
    lower = [(across.place(point.x), up.place(point.low)) for point in reversed(line.points)]
    return element("path", class_=f"series-band {_colour(number)}", d=f"{polyline([*upper, *lower])}Z")


def _line(line: Line, number: int, across: Scale, up: Scale, x_label: str, *, percent: bool) -> Markup:
    places = [(across.place(point.x), up.place(point.mean)) for point in line.points]
    parts = [element("path", tooltip(line.name), d=polyline(places), **_stroke(number))]
    # The dots of a long line would hide it; a single point has no line at all.
    if len(places) <= _MOST_DOTS:
        for point, (x, y) in zip(line.points, places, strict=True):
            text = f"{line.name}, {x_label} {point.x:g}: {_say(point.mean, percent=percent)}"
            if point.low != point.high:
                ends = (_say(end, percent=percent) for end in (point.low, point.high))
                text += f" ({' to '.join(ends)})"
            parts.append(element("circle", tooltip(text), class_=f"series-dot {_colour(number)}", cx=x, cy=y, r=2.6))
    return element("g", *parts)


def _say(value: float, *, percent: bool) -> str:
    return f"{value:.2%}" if percent else figure_text(value)

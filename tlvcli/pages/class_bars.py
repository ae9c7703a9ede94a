"""How well single classes are found: a bar for each, and how all of many are spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tlvcli.pages.drawing import drawing, tick_lines, upright_title
from tlvcli.pages.scales import linear_scale
from tlvcli.pages.svg import element, tooltip

_HEIGHT = 16
_BAR_TOP, _BAR_HEIGHT = 3, 10
_BINS = 10
_WIDTH, _CHART_HEIGHT = 520, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 20, 10, 160


@dataclass(frozen=True)
class ClassShares:
    """Shares of 1: recall with its 95 % interval, precision, and F1; None where the class has no image or no answer."""

    recall: float | None
    interval: tuple[float, float] | None
    precision: float | None
    f1: float | None


def class_bar(shares: ClassShares) -> Markup:
    """Return an SVG as wide as its box from 0 to 1: a bar of the recall, a dot of the precision, a tick of F1."""
    parts = [element("rect", class_="track", width="100%", y=_BAR_TOP, height=_BAR_HEIGHT)]
    middle = _HEIGHT / 2
    if shares.recall is not None:
        width = _percent(shares.recall)
        parts.append(element("rect", class_="recall", width=width, y=_BAR_TOP, height=_BAR_HEIGHT))
    if shares.interval:
        low, high = (_percent(end) for end in shares.interval)
        parts.append(element("line", class_="whisker", x1=low, x2=high, y1=middle, y2=middle))
    if shares.f1 is not None:
        place = _percent(shares.f1)
        parts.append(element("line", class_="f1", x1=place, x2=place, y1=1, y2=_HEIGHT - 1))
    if shares.precision is not None:
        parts.append(element("circle", class_="precision", cx=_percent(shares.precision), cy=middle, r=3.5))
    return element("svg", tooltip(_say(shares)), *parts, class_="meter", height=_HEIGHT, role="img")


def difference_bar(difference: float, most: float) -> Markup:
    """Return an SVG as wide as its box from -`most` to `most`: a bar from its middle, to the left for a loss."""
    share = 0.5 * difference / most if most > 0 else 0.0
    start, width = _percent(0.5 + min(share, 0)), _percent(abs(share))
    kind = "gain" if difference > 0 else "loss"
    parts = [
        element("rect", class_=kind, x=start, width=width, y=_BAR_TOP, height=_BAR_HEIGHT),
        element("line", class_="axis", x1="50%", x2="50%", y1=0, y2=_HEIGHT),
    ]
    return element("svg", *parts, class_="meter", height=_HEIGHT, aria_hidden="true")


def recall_histogram(values: Sequence[float]) -> Markup:
    """Return an SVG of how many classes have a recall in each tenth of 0 to 1; 1 belongs to the last."""
    counts = [0] * _BINS
    for value in values:
        counts[min(int(value * _BINS), _BINS - 1)] += 1
    up = linear_scale([0, max(counts)], _BOTTOM, _TOP)
    step = (_WIDTH - _LEFT - _RIGHT) / _BINS
    parts = tick_lines(up, _LEFT, _WIDTH - _RIGHT, lambda tick: f"{tick:,.0f}" if float(tick).is_integer() else None)
    for number, count in enumerate(counts):
        x, y = _LEFT + number * step, up.place(count)
        text = tooltip(f"{count:,} classes between {number / _BINS:.0%} and {(number + 1) / _BINS:.0%}")
        parts.append(element("rect", text, class_="recall", x=x + 1, y=y, width=step - 2, height=_BOTTOM - y))
    for share in (0, 0.25, 0.5, 0.75, 1):
        x = _LEFT + share * _BINS * step
        parts.append(element("text", f"{share:.0%}", class_="tick", x=x, y=_BOTTOM + 17, text_anchor="middle"))
    title = "recall of a class"
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(element("text", title, class_="title", x=middle, y=_CHART_HEIGHT - 6, text_anchor="middle"))
    parts.append(upright_title("classes", (_TOP + _BOTTOM) / 2))
    label = f"recall of {len(values)} classes"
    return drawing(label, *parts, width=_WIDTH, height=_CHART_HEIGHT, class_="chart histogram")


def _percent(share: float) -> str:
    return f"{100 * share:.2f}%"


def _say(shares: ClassShares) -> str:
    texts = {"recall": shares.recall, "precision": shares.precision, "F1": shares.f1}
    parts = [f"{name} {'not defined' if share is None else format(share, '.1%')}" for name, share in texts.items()]
    if shares.interval:
        parts[0] += f" ({shares.interval[0]:.1%} to {shares.interval[1]:.1%})"
    return ", ".join(parts)

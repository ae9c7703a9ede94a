"""How one kernel's activations are distributed on two sets of images: magnitudes on a log axis, zeros apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tlvcli.pages.drawing import drawing
from tlvcli.pages.scales import Scale
from tlvcli.pages.svg import element, short, tooltip

_WIDTH, _HEIGHT = 340, 120
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 334, 8, 98
_ZERO_AXIS, _ZERO_BARS, _ZERO_WIDTH = 6, 12, 12


@dataclass(frozen=True)
class Distribution:
    """Of |a|: the share of zeros, and for each bin the share of all values by the bin's width in decades."""

    zeros: float
    density: tuple[float, ...]


def distribution_chart(edges: Sequence[float], source: Distribution, target: Distribution) -> Markup:
    """Return an SVG of both over the bins between `edges`, magnitudes; an area is the share that is not zero.

    Bins at either end that are empty on both sets are cut off.
    """
    filled = [place for place, pair in enumerate(zip(source.density, target.density, strict=True)) if max(pair) > 0]
    first, last = (filled[0], filled[-1]) if filled else (0, len(edges) - 2)
    decades = range(math.ceil(math.log10(edges[first])), math.floor(math.log10(edges[last + 1])) + 1)
    across = Scale(edges[first], edges[last + 1], _LEFT, _RIGHT, True, tuple(10.0**decade for decade in decades))
    peak = max(*source.density, *target.density) or 1.0
    up = Scale(0, peak, _BOTTOM, _TOP, False, ())
    parts = [element("path", class_="axis", d=f"M{_ZERO_AXIS} {_BOTTOM}H{_LEFT - 8}M{_LEFT} {_BOTTOM}H{_RIGHT}")]
    parts.append(element("text", "0", class_="tick", x=_ZERO_BARS + _ZERO_WIDTH, y=_BOTTOM + 15, text_anchor="middle"))
    parts += [
        element("text", f"{tick:g}", class_="tick", x=across.place(tick), y=_BOTTOM + 15, text_anchor="middle")
        for tick in across.ticks
        if _LEFT + 8 <= across.place(tick) <= _RIGHT - 8
    ]
    for number, (name, values) in enumerate((("source", source), ("target", target))):
        parts.append(_zero_bar(name, values.zeros, _ZERO_BARS + number * _ZERO_WIDTH))
        outline = "".join(
            f"V{short(up.place(values.density[place]))}H{short(across.place(edges[place + 1]))}"
            for place in range(first, last + 1)
        )
        parts.append(element("path", class_=f"area {name}", d=f"M{_LEFT} {_BOTTOM}{outline}V{_BOTTOM}"))
    label = "distributions of the magnitudes of activations on both sets"
    return drawing(label, *parts, width=_WIDTH, height=_HEIGHT, class_="distribution")


def _zero_bar(name: str, share: float, x: float) -> Markup:
    y = Scale(0, 1, _BOTTOM, _TOP, False, ()).place(share)
    text = tooltip(f"{share:.1%} of the {name}'s values are zero")
    return element("rect", text, class_=f"zeros {name}", x=x, y=y, width=_ZERO_WIDTH - 1, height=_BOTTOM - y)

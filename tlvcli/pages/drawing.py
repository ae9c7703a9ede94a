"""What charts share: the drawing around their parts, the lines at the ticks of an upright axis, and its title."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from tlvcli.pages.scales import Scale
from tlvcli.pages.svg import Attribute, element


def drawing(label: str, *parts: Markup, width: float, height: float, class_: str, **attributes: Attribute) -> Markup:
    """Return parts as one picture of so many units, which a screen reader calls `label`."""
    box = f"0 0 {width:.0f} {height:.0f}"
    return element("svg", *parts, class_=class_, viewBox=box, **attributes, role="img", aria_label=label)


def tick_lines(up: Scale, left: float, right: float, text_of: Callable[[float], str | None]) -> list[Markup]:
    """Return a line from `left` to `right` at every tick, with its text in front of it, if it has one."""
    parts = []
    for tick in up.ticks:
        y, text = up.place(tick), text_of(tick)
        parts.append(element("line", class_="grid", x1=left, x2=right, y1=y, y2=y))
        if text is not None:
            parts.append(element("text", text, class_="tick", x=left - 8, y=y + 4, text_anchor="end"))
    return parts


def upright_title(text: str, middle: float) -> Markup:
    """Return the title of an upright axis at the left edge, read from below."""
    turn = f"translate(13 {middle:g}) rotate(-90)"
    return element("text", text, class_="title", text_anchor="middle", transform=turn)

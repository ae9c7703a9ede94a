"""Elements of SVG as text, escaped, with numbers as short as a screen can tell apart."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup, escape

Attribute = str | float


def element(name: str, /, *children: Markup | str, **attributes: Attribute) -> Markup:
    """Return one element; `class_` is class, other underscores are hyphens; children that are no Markup are text."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), value if isinstance(value, str) else short(value))
        for key, value in attributes.items()
    )
    if not children:
        return Markup("<{}{}/>").format(name, written)
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, Markup("").join(escape(child) for child in children))


def tooltip(text: str) -> Markup:
    """Return what a browser shows while the pointer rests on the element around it."""
    return element("title", text)


def polyline(points: Sequence[tuple[float, float]]) -> str:
    """Return the path data of a line through points of (x, y)."""
    return "M" + "L".join(f"{short(x)} {short(y)}" for x, y in points)


def short(value: float) -> str:
    """Return a coordinate with at most two decimals."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def figure_text(value: float) -> str:
    """Return a number for a reader: three significant digits, a power of ten only where it is far from 1."""
    if abs(value) >= 1000:
        return f"{value:,.0f}" if abs(value) < 1e6 else f"{value:.2g}".replace("e+0", "e")
    if value == 0 or abs(value) >= 1e-4:
        return f"{value:.3g}"
    return f"{value:.2g}".replace("e-0", "e-")

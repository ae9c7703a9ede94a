"""A matrix of similarities as colours, with the best partner of each row ringed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from tlvcli.pages.drawing import drawing
from tlvcli.pages.pictures import colour_map
from tlvcli.pages.svg import element, tooltip

# Width of a letter by the size of the text, of a wide font.
_LETTER, _LONGEST_NAME, _GAP = 0.66, 34, 8
_LARGEST_CELL, _LEAST_CELL, _WANTED = 26, 11, 720
# More cells than these have no text of their own: the page would grow by megabytes.
_MOST_HOVERED = 6_000


@dataclass(frozen=True)
class Side:
    """The layers along one side, and for each the number of the other side's layer that is most like it."""

    names: tuple[str, ...]
    best: tuple[int | None, ...]


def matrix_chart(values: Sequence[Sequence[float | None]], rows: Side, columns: Side, title: str) -> Markup:
    """Return an SVG of a matrix from 0, dark, to 1, bright; None is grey, and below 0 is as 0."""
    shown = [[_elide(name) for name in side.names] for side in (rows, columns)]
    cell = max(_LEAST_CELL, min(_LARGEST_CELL, _WANTED / max(len(rows.names), len(columns.names))))
    text = min(11.0, cell)
    left, top = (_GAP + _LETTER * text * max(map(len, names)) for names in shown)
    width, height = cell * len(columns.names), cell * len(rows.names)
    matrix = np.array([[np.nan if value is None else value for value in row] for row in values], dtype=float)
    parts = [
        element(
            "image",
            href=colour_map(matrix, 0, 1),
            x=left,
            y=top,
            width=width,
            height=height,
            preserveAspectRatio="none",
            class_="pixels",
        )
    ]
    size = f"font-size:{text:g}px"
    for number, name in enumerate(shown[0]):
        y = top + (number + 0.5) * cell + 0.35 * text
        parts.append(element("text", name, class_="tick", x=left - _GAP, y=y, style=size, text_anchor="end"))
    for number, name in enumerate(shown[1]):
        place = f"translate({left + (number + 0.5) * cell + 0.35 * text:.1f} {top - _GAP:.1f}) rotate(-90)"
        parts.append(element("text", name, class_="tick", style=size, transform=place))
    if matrix.size <= _MOST_HOVERED:
        parts += [
            element(
                "rect",
                tooltip(_say(rows.names[row], columns.names[column], value)),
                class_="hover",
                x=left + column * cell,
                y=top + row * cell,
                width=cell,
                height=cell,
            )
            for row, line in enumerate(values)
            for column, value in enumerate(line)
        ]
    for row, best in enumerate(rows.best):
        if best is not None:
            text_of = tooltip(_say(rows.names[row], columns.names[best], values[row][best]))
            x, y = left + (best + 0.5) * cell, top + (row + 0.5) * cell
            parts.append(element("circle", text_of, class_="best", cx=x, cy=y, r=0.3 * cell))
    total = left + width + 4, top + height + 4
    style = f"width:{total[0]:.0f}px"
    return drawing(title, *parts, width=total[0], height=total[1], class_="matrix", style=style)


def _say(row: str, column: str, value: float | None) -> str:
    return f"{row} and {column}: {'not defined' if value is None else format(value, '.3f')}"


def _elide(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"…{name[1 - _LONGEST_NAME :]}"

"""Which classes are taken for which: every cell of a small matrix, or a picture of a large one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from tlvcli.pages.drawing import drawing, upright_title
from tlvcli.pages.pictures import two_tone
from tlvcli.pages.svg import element, tooltip

if TYPE_CHECKING:
    from numpy.typing import NDArray

# From here on a matrix is a picture: its names would not be readable, and its cells be megabytes.
LEAST_PICTURED = 100
_LETTER, _LONGEST_NAME, _GAP, _TITLE = 0.6, 26, 8, 20
_LARGEST_CELL, _LEAST_CELL, _WANTED = 46, 9, 620
_LARGEST_TEXT, _LEAST_TEXT = 12.5, 7.0
_LARGEST_PICTURE = 250
# On a cell that is more opaque than this, text has the colour of the paper.
_DARK = 0.55


@dataclass(frozen=True)
class Confusion:
    """Counts [true, predicted]; the first columns are the classes of the rows, in their order, others may follow."""

    rows: Sequence[str]
    columns: Sequence[str]
    counts: Sequence[Sequence[int]]


def confusion_chart(confusion: Confusion) -> Markup:
    """Return an SVG that colours each cell by its share of the row; cells of zero are empty."""
    matrix = np.asarray(confusion.counts)
    opaque = opacities(matrix)
    names = [[_elide(name) for name in side] for side in (confusion.rows, confusion.columns)]
    cell = max(_LEAST_CELL, min(_LARGEST_CELL, _WANTED / len(confusion.columns)))
    name_size = min(12.0, cell)
    left, top = (_TITLE + _GAP + _LETTER * name_size * max(map(len, side)) for side in names)
    width, height = cell * matrix.shape[1], cell * matrix.shape[0]
    figure_size = min(_LARGEST_TEXT, 0.84 * cell / (_LETTER * len(str(matrix.max()))))
    frame = f"M{left:.1f} {top:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"
    parts = [
        element("text", "predicted class", class_="title", text_anchor="middle", x=left + width / 2, y=13),
        upright_title("true class", round(top + height / 2, 1)),
        element("path", class_="frame", d=frame),
        *_names(names, left, top, cell, name_size),
    ]
    for row, column in np.argwhere(matrix > 0).tolist():
        count, images = int(matrix[row, column]), int(matrix[row].sum())
        x, y = left + column * cell, top + row * cell
        text = tooltip(_say(confusion.rows[row], confusion.columns[column], count, images))
        parts.append(_cell(text, count, float(opaque[row, column]), x, y, cell - 1, figure_size, right=row == column))
    total = left + width + 4, top + height + 4
    label, style = f"confusion matrix of {len(confusion.rows)} classes", f"width:{total[0]:.0f}px"
    return drawing(label, *parts, width=total[0], height=total[1], class_="matrix", style=style)


def confusion_picture(confusion: Confusion) -> Markup:
    """Return an image with a pixel for each cell, or for the darkest of a square of cells where there are many."""
    matrix = np.asarray(confusion.counts)
    opaque = opacities(matrix)
    block = -(-max(matrix.shape) // _LARGEST_PICTURE)
    diagonal = np.eye(*matrix.shape, dtype=np.bool_)
    return element(
        "img",
        src=two_tone(_darkest(opaque * diagonal, block), _darkest(opaque * ~diagonal, block)),
        class_="confusion-picture",
        alt=f"confusion matrix of {len(matrix)} classes, true ones from top to bottom, predicted ones left to right",
    )


def opacities(matrix: NDArray[Any]) -> NDArray[Any]:
    """Return from counts [true, predicted] how opaque each cell is, 0 to 1, by its share of the row.

    Mistakes by the root of the share, so that a rare one is seen; what is right by its square, so that 85 % and 95 %
    are told apart.
    """
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    opaque: NDArray[Any] = np.where(np.eye(*matrix.shape, dtype=np.bool_), shares**2, np.sqrt(shares))
    return opaque


def _names(names: Sequence[Sequence[str]], left: float, top: float, cell: float, size: float) -> list[Markup]:
    style = f"font-size:{size:g}px"
    parts = []
    for number, name in enumerate(names[0]):
        y = top + (number + 0.5) * cell + 0.35 * size
        parts.append(element("text", name, class_="tick", x=left - _GAP, y=y, style=style, text_anchor="end"))
    for number, name in enumerate(names[1]):
        turn = f"translate({left + (number + 0.5) * cell + 0.35 * size:.1f} {top - _GAP:.1f}) rotate(-90)"
        parts.append(element("text", name, class_="tick", style=style, transform=turn))
    return parts


def _cell(
    text: Markup, count: int, opacity: float, x: float, y: float, side: float, size: float, *, right: bool
) -> Markup:
    kind = "right" if right else "wrong"
    parts = [text, element("rect", class_=kind, fill_opacity=opacity, x=x, y=y, width=side, height=side)]
    if size >= _LEAST_TEXT:
        tone = "on" if opacity > _DARK else "figure"
        place = {"x": x + side / 2, "y": y + side / 2 + 0.36 * size}
        parts.append(
            element("text", str(count), class_=tone, style=f"font-size:{size:.1f}px", text_anchor="middle", **place)
        )
    return element("g", *parts, class_="cell")


def _darkest(values: NDArray[Any], block: int) -> NDArray[Any]:
    """Return the largest value of each `block` by `block` cells; those at the far edges may have fewer."""
    padded = np.pad(values, [(0, -size % block) for size in values.shape])
    height, width = (size // block for size in padded.shape)
    darkest: NDArray[Any] = padded.reshape(height, block, width, block).max((1, 3))
    return darkest


def _say(true: str, predicted: str, count: int, images: int) -> str:
    share = f"{count:,} of {images:,} ({count / images:.1%})"
    return f"{true} found: {share}" if true == predicted else f"{true} taken for {predicted}: {share}"


def _elide(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"

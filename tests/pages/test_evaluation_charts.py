"""The charts of an evaluation against the counts and shares that they draw."""

from __future__ import annotations

import base64
from io import BytesIO
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup
from PIL import Image

from tlvcli.pages.class_bars import ClassShares, class_bar, difference_bar, recall_histogram
from tlvcli.pages.confusion_chart import Confusion, confusion_chart, confusion_picture
from tlvcli.pages.pictures import thumbnail
from tlvcli.pages.reliability_chart import ReliabilityBin, reliability_chart


def _parse(markup: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def _of_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [found for found in svg.iter() if name in found.get("class", "").split()]


def _number(found: ElementTree.Element, name: str) -> float:
    return float(found.get(name, "").rstrip("%"))


def _open(address: str) -> Image.Image:
    return Image.open(BytesIO(base64.b64decode(address.partition(",")[2])))


def test_a_matrix_has_a_cell_for_each_count_but_zero() -> None:
    svg = _parse(confusion_chart(Confusion(["cat", "dog"], ["cat", "dog", "cow"], [[75, 24, 1], [0, 40, 0]])))
    cells = _of_class(svg, "cell")
    assert [cell.findtext("title") for cell in cells] == [
        "cat found: 75 of 100 (75.0%)",
        "cat taken for dog: 24 of 100 (24.0%)",
        "cat taken for cow: 1 of 100 (1.0%)",
        "dog found: 40 of 40 (100.0%)",
    ]
    squares = [cell[1] for cell in cells]
    assert [square.get("class") for square in squares] == ["right", "wrong", "wrong", "right"]
    opacities = [_number(square, "fill-opacity") for square in squares]
    assert opacities == pytest.approx([0.75**2, 0.24**0.5, 0.1, 1], abs=0.005)
    assert [(cell[2].text, cell[2].get("class")) for cell in cells] == [
        ("75", "on"), ("24", "figure"), ("1", "figure"), ("40", "on"),
    ]  # fmt: skip
    across = [_number(square, "x") for square in squares]
    assert across[2] - across[1] == pytest.approx(across[1] - across[0], abs=0.02)
    assert across[3] == across[1]
    assert _number(squares[3], "y") - _number(squares[0], "y") == pytest.approx(across[1] - across[0], abs=0.02)


def test_the_cells_of_many_classes_have_no_figures() -> None:
    counts = (np.eye(60, dtype=int) * 1000).tolist()
    names = [f"class {number}" for number in range(60)]
    svg = _parse(confusion_chart(Confusion(names, names, counts)))
    assert len(_of_class(svg, "cell")) == 60
    assert not _of_class(svg, "on")


@pytest.mark.parametrize(("num_classes", "side", "block"), [(120, 120, 1), (1000, 250, 4), (1003, 201, 5)])
def test_a_picture_of_many_classes_keeps_the_darkest_of_a_block(num_classes: int, side: int, block: int) -> None:
    counts = np.zeros((num_classes, num_classes), dtype=int)
    np.fill_diagonal(counts, 1)
    counts[7, 7], counts[7, 90] = 1, 3
    image = _open(
        _parse(confusion_picture(Confusion([""] * num_classes, [""] * num_classes, counts.tolist()))).get("src", "")
    )
    assert image.size == (side, side)
    pixels = np.asarray(image.convert("RGBA")).astype(int)
    row, column = 7 // block, 90 // block
    assert pixels[row, column, 3] == pytest.approx(255 * 0.75**0.5, abs=3)
    assert pixels[row, column, 0] > pixels[row, column, 2]
    assert pixels[60, 60, 3] == 255
    assert pixels[60, 60, 2] > pixels[60, 60, 0]
    assert (pixels[..., 3] > 0).sum() == side + 1


def test_a_bar_has_the_places_of_its_shares() -> None:
    svg = _parse(class_bar(ClassShares(0.8, (0.7, 0.875), 0.5, 0.615)))
    (bar,), (dot,), (line,), (tick,) = (_of_class(svg, name) for name in ("recall", "precision", "whisker", "f1"))
    assert [_number(bar, "width"), _number(dot, "cx"), _number(tick, "x1")] == [80, 50, 61.5]
    assert [_number(line, "x1"), _number(line, "x2")] == [70, 87.5]
    assert svg.findtext("title") == "recall 80.0% (70.0% to 87.5%), precision 50.0%, F1 61.5%"


def test_a_class_that_is_never_answered_has_no_dot() -> None:
    svg = _parse(class_bar(ClassShares(0.0, (0.0, 0.3), None, 0.0)))
    assert not _of_class(svg, "precision")
    assert svg.findtext("title") == "recall 0.0% (0.0% to 30.0%), precision not defined, F1 0.0%"


@pytest.mark.parametrize(("difference", "start", "width"), [(0.1, 50, 25), (-0.2, 0, 50), (-0.05, 37.5, 12.5)])
def test_a_change_goes_from_the_middle_to_its_side(difference: float, start: float, width: float) -> None:
    svg = _parse(difference_bar(difference, 0.2))
    (bar,) = _of_class(svg, "gain" if difference > 0 else "loss")
    assert (_number(bar, "x"), _number(bar, "width")) == (start, width)


def test_the_histogram_counts_every_class_once() -> None:
    values = [0.0, 0.04, 0.15, 0.99, 1.0, 0.5]
    svg = _parse(recall_histogram(values))
    bars = _of_class(svg, "recall")
    heights = np.array([_number(bar, "height") for bar in bars])
    wanted, _ = np.histogram(values, bins=10, range=(0, 1))
    np.testing.assert_allclose(heights / heights.max(), wanted / wanted.max(), atol=1e-3)
    assert bars[0].findtext("title") == "2 classes between 0% and 10%"


def test_the_reliability_diagram_shows_gaps_counts_and_few_images() -> None:
    bins = [
        ReliabilityBin(0.0, 0.5, 0, None, None, None),
        ReliabilityBin(0.5, 0.75, 5, 0.6, 0.8, (0.4, 0.95)),
        ReliabilityBin(0.75, 1.0, 15, 0.9, 0.6, (0.3, 0.8)),
    ]
    svg = _parse(reliability_chart(bins))
    correct, gaps, counts = (_of_class(svg, name) for name in ("correct", "gap", "count"))
    # The large diagram is 300 px from 0 to 1, the counts 70 px up to the largest bin.
    assert [_number(bar, "height") for bar in correct] == pytest.approx([180, 180])
    assert [_number(bar, "height") for bar in gaps] == pytest.approx([60, 90])
    assert [_number(bar, "y") for bar in gaps] == pytest.approx([12 + 60, 12 + 30])
    assert [bar.get("class") for bar in gaps] == ["gap under", "gap over"]
    assert [_number(bar, "height") for bar in counts] == pytest.approx([0, 70 / 3, 70], abs=0.01)
    assert [group.get("class") for group in _of_class(svg, "bin")] == ["bin few", "bin few", "bin"]
    titles = [group.findtext("title") for group in _of_class(svg, "mark")]
    assert titles[1] == "75% to 100% sure: 15 images, 90.0% on average, 60.0% right (30.0% to 80.0%)"
    assert [_number(dot, "cy") for dot in _of_class(svg, "dot")] == pytest.approx([12 + 60, 12 + 120])


@pytest.mark.parametrize(("side", "kind"), [(32, "PNG"), (192, "JPEG")])
def test_small_images_lose_nothing(side: int, kind: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image = _open(thumbnail(pixels))
    assert image.format == kind
    assert np.array_equal(np.asarray(image), pixels) == (kind == "PNG")

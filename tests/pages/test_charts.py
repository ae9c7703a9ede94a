"""The charts against the numbers that they draw, read back from the SVG."""

from __future__ import annotations

import math
import re
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from tlvcli.pages.distance_chart import Band, LayerPoint, distance_chart
from tlvcli.pages.distribution_chart import Distribution, distribution_chart
from tlvcli.pages.kernel_strip import kernel_strip
from tlvcli.pages.matrix_chart import Side, matrix_chart
from tlvcli.pages.scales import make_scale
from tlvcli.pages.svg import element, figure_text, short


def _parse(markup: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def _of_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [found for found in svg.iter() if name in found.get("class", "").split()]


def _title(found: ElementTree.Element) -> str:
    return found.findtext("title") or ""


def test_elements_escape_what_is_not_markup() -> None:
    written = element("text", "a < b & c", class_="x", data_of='"quoted"')
    assert _parse(written).text == "a < b & c"
    assert _parse(written).attrib == {"class": "x", "data-of": '"quoted"'}
    assert _parse(element("g", element("circle", r=1.0))).find("circle") is not None


@pytest.mark.parametrize(("value", "text"), [(1.0, "1"), (1.256, "1.26"), (-0.001, "0"), (100.0, "100")])
def test_coordinates_are_short(value: float, text: str) -> None:
    assert short(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.04149, "0.0415"), (24695.3, "24,695"), (1.2e-5, "1.2e-5"), (999.6, "1e+03")]
)
def test_figures_have_three_digits(value: float, text: str) -> None:
    assert figure_text(value).replace("1,000", "1e+03") == text


def test_a_log_scale_places_by_ratio_and_zero_at_the_end() -> None:
    scale = make_scale([0, 0.001, 1.0], 200, 0)
    assert scale.is_log
    assert scale.place(0) == 200
    assert scale.place(0.1) - scale.place(0.01) == pytest.approx(scale.place(1) - scale.place(0.1))
    assert set(scale.ticks) == {0.001, 0.01, 0.1, 1.0}
    assert 0 < scale.place(1.0) < scale.place(0.001) < 200


def test_a_linear_scale_starts_at_zero_and_ends_beyond_the_largest() -> None:
    scale = make_scale([2.0, 3.7], 0, 100)
    assert not scale.is_log
    assert (scale.low, scale.ticks[0]) == (0, 0)
    assert scale.high >= 3.7
    np.testing.assert_allclose(np.diff(scale.ticks), scale.ticks[1])
    assert scale.place(3.7) == pytest.approx(100 * 3.7 / scale.high)
    assert make_scale([0.0, 0.0], 0, 1).place(0) == 0


def test_the_distances_lie_on_one_axis_with_their_bands() -> None:
    points = [
        LayerPoint("first", 0.01, Band(0.001, 0.002, 0.01), 0.05),
        LayerPoint("second", 1.0, Band(0.001, 0.002, 0.1), 0.9),
        LayerPoint("third", 0.1, None, 0.5),
    ]
    svg = _parse(distance_chart(points, "js", 0.05))
    places = [float(dot.get("cy", "")) for dot in _of_class(svg, "dot")]
    assert places[0] - places[2] == pytest.approx(places[2] - places[1], abs=0.02)
    heights = [float(bar.get("height", "")) for bar in _of_class(svg, "bar")]
    np.testing.assert_allclose(np.array(heights) / heights[1], np.array([0.05, 0.9, 0.5]) / 0.9, atol=1e-3)
    (band,) = _of_class(svg, "null")  # the third layer has none
    corners = re.findall(r"[ML]([\d.]+) ([\d.]+)", band.get("d", ""))
    assert float(corners[0][1]) == pytest.approx(places[0], abs=0.01)  # its 95 % is the distance of the first
    assert [_title(name) for name in _of_class(svg, "name")] == ["first", "second", "third"]
    assert _title(_of_class(svg, "dot")[1]) == "second: 1; without a shift 0.001 to 0.1; 90% of its kernels shifted"


def test_without_shares_there_are_no_bars() -> None:
    svg = _parse(distance_chart([LayerPoint("a" * 40, 1.0, None, None)], "js", None))
    assert not _of_class(svg, "bar")
    (name,) = _of_class(svg, "name")
    assert len(name[0].tail or "") == 30
    assert _title(name) == "a" * 40


def test_a_strip_has_the_most_shifted_first_and_colours_by_the_threshold() -> None:
    distances = [0.1, 0.9, 0.05, 0.21]
    strip = kernel_strip(distances, {1, 3}, 0.2, larger_is_shifted=True, most_cells=10)
    cells = _parse(strip)
    assert [cell.get("class") for cell in cells] == ["s3", "s1", "g2", "g3"]
    assert [_title(cell).split(":")[0] for cell in cells] == ["kernel 1", "kernel 3", "kernel 0", "kernel 2"]
    assert _title(cells[0]) == "kernel 1: 0.9, 4.5 × threshold, specific"
    assert [cell.get("d", "").split("h")[0] for cell in cells] == ["M0 0", "M1 0", "M2 0", "M3 0"]


def test_where_smaller_is_shifted_the_strip_turns_round() -> None:
    cells = _parse(kernel_strip([0.05, 0.5], {0}, 0.1, larger_is_shifted=False, most_cells=10))
    assert [(cell.get("class"), _title(cell)[:8]) for cell in cells] == [("s2", "kernel 0"), ("g3", "kernel 1")]


def test_a_strip_without_threshold_only_says_shifted_or_not() -> None:
    cells = _parse(kernel_strip([0.5, 0.1], {0}, None, larger_is_shifted=True, most_cells=10))
    assert [cell.get("class") for cell in cells] == ["s3", "g3"]


def test_a_wide_layer_is_cut_into_runs_that_hold_every_rank_once() -> None:
    distances = [float(number) for number in range(100)]
    cells = _parse(kernel_strip(distances, set(range(50, 100)), 50.0, larger_is_shifted=True, most_cells=7))
    ranks = [tuple(map(int, re.findall(r"\d+", _title(cell).split(":")[0]))) for cell in cells]
    assert ranks[0][0] == 1
    assert ranks[-1][1] == 100
    assert all(after[0] == before[1] + 1 for before, after in pairwise(ranks))


def test_the_area_of_a_distribution_is_the_share_that_is_not_zero() -> None:
    edges = np.array([0.01, 0.1, 0.4, 1.0, 10.0])
    widths = np.diff(np.log10(edges))
    shares = np.array([[0.1, 0.3, 0.2, 0.0], [0.2, 0.2, 0.4, 0.0]])
    source, target = (Distribution(1 - row.sum(), tuple((row / widths).tolist())) for row in shares)
    svg = _parse(distribution_chart(edges.tolist(), source, target))
    areas = [_area(path.get("d", "")) for path in _of_class(svg, "area")]
    assert areas[1] / areas[0] == pytest.approx(0.8 / 0.6, rel=2e-3)
    bars = [float(bar.get("height", "")) for bar in _of_class(svg, "zeros")]
    assert bars[1] / bars[0] == pytest.approx(0.2 / 0.4, rel=1e-3)
    assert _title(_of_class(svg, "zeros")[0]) == "40.0% of the source's values are zero"
    # The last bin is empty on both sets: the axis ends before it, at the right edge of the one before.
    right = max(float(place) for place in re.findall(r"H([\d.]+)", _of_class(svg, "area")[0].get("d", "")))
    assert right == 334


def _area(path: str) -> float:
    """Integrate a path of steps, M x y then V y H x ..., down to its first y."""
    x, base = (float(number) for number in re.findall(r"M([\d.]+) ([\d.]+)", path)[0])
    total = 0.0
    for y, end in re.findall(r"V([\d.]+)H([\d.]+)", path):
        total += (base - float(y)) * (float(end) - x)
        x = float(end)
    return total


def test_a_kernel_that_never_fires_has_a_chart_too() -> None:
    silent = Distribution(1.0, (0.0, 0.0))
    svg = _parse(distribution_chart([0.1, 1.0, 10.0], silent, silent))
    assert [_area(path.get("d", "")) for path in _of_class(svg, "area")] == [0, 0]


def test_a_matrix_rings_the_best_partner_of_each_row() -> None:
    values = [[0.2, 0.9, None], [0.4, 0.1, None]]
    svg = _parse(matrix_chart(values, Side(("a", "b"), (1, 0)), Side(("x", "y", "z"), (1, 0, None)), "similarity"))
    assert [_title(ring) for ring in _of_class(svg, "best")] == ["a and y: 0.900", "b and x: 0.400"]
    hovered = _of_class(svg, "hover")
    assert len(hovered) == 6
    assert _title(hovered[2]) == "a and z: not defined"
    image = svg.find("image")
    assert image is not None
    cell = float(image.get("width", "")) / 3
    rings = [(float(ring.get("cx", "")), float(ring.get("cy", ""))) for ring in _of_class(svg, "best")]
    assert rings[0][0] - rings[1][0] == pytest.approx(cell, abs=0.02)
    assert rings[1][1] - rings[0][1] == pytest.approx(float(image.get("height", "")) / 2, abs=0.02)


def test_a_large_matrix_has_no_text_in_its_cells() -> None:
    side = Side(tuple(f"layer{number}" for number in range(80)), (0,) * 80)
    svg = _parse(matrix_chart([[math.sin(row)] * 80 for row in range(80)], side, side, "similarity"))
    assert not _of_class(svg, "hover")
    assert len(_of_class(svg, "best")) == 80


def test_a_band_that_is_far_away_does_not_flatten_the_rest() -> None:
    points = [LayerPoint("a", 0.1, Band(0.0, 0.05, 1e6), None), LayerPoint("b", 0.2, Band(0.01, 0.05, 0.1), None)]
    svg = _parse(distance_chart(points, "js", None))
    places = [float(dot.get("cy", "")) for dot in _of_class(svg, "dot")]
    # The axis goes from 0.01 to 0.2, so a factor of two is more than a fifth of its 220 pixels.
    assert places[0] - places[1] > 44
    corners = re.findall(r"[ML]([\d.]+) ([\d.]+)", _of_class(svg, "null")[0].get("d", ""))
    heights = [float(y) for _, y in corners]
    assert (min(heights), max(heights)) == (14, 234)

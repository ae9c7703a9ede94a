"""The lines of a chart against the values that they draw, read back from the SVG."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from tlvcli.pages.line_chart import COLOURS, Line, LinePoint, Reference, line_chart, line_legend
from tlvcli.pages.scales import linear_scale


def _parse(markup: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(str(markup))


def _of_class(svg: ElementTree.Element, name: str) -> list[ElementTree.Element]:
    return [found for found in svg.iter() if name in found.get("class", "").split()]


def _corners(path: ElementTree.Element) -> np.ndarray:
    return np.array(re.findall(r"[ML]([\d.]+) ([\d.]+)", path.get("d", "")), dtype=float)


def _line(name: str, means: list[float], spread: float = 0.0) -> Line:
    return Line(name, [LinePoint(x + 1, mean, mean - spread, mean + spread) for x, mean in enumerate(means)])


def _chart(*lines: Line, reference: Reference | None = None) -> ElementTree.Element:
    markup = line_chart(
        lines, title="curves", x_label="epoch", y_label="top-1", percent=True, reference=reference, width=700
    )
    return _parse(markup)


def test_lines_and_bands_lie_on_one_pair_of_axes() -> None:
    svg = _chart(_line("a", [0.5, 0.6, 0.9], 0.05), _line("b", [0.5, 0.7]))
    first, second = (_corners(path) for path in _of_class(svg, "series-line"))
    steps = np.diff(first[:, 1])
    assert steps[1] / steps[0] == pytest.approx(3, rel=1e-3)
    assert first[0].tolist() == second[0].tolist()
    assert np.diff(first[:, 0]) == pytest.approx([first[1, 0] - first[0, 0]] * 2, abs=0.02)
    (band,) = _of_class(svg, "series-band")  # the other line is of one run
    upper, lower = _corners(band)[:3], _corners(band)[:2:-1]
    assert lower[:, 1] - upper[:, 1] == pytest.approx([steps[0] / 0.1 * -0.1] * 3, abs=0.03)
    titles = [dot.findtext("title") for dot in _of_class(svg, "series-dot")]
    assert titles[2] == "a, epoch 3: 90.00% (85.00% to 95.00%)"
    assert titles[4] == "b, epoch 2: 70.00%"


def test_an_axis_ends_near_the_values_and_says_epochs_as_whole_numbers() -> None:
    svg = _chart(_line("a", [0.912, 0.918, 0.921]), reference=Reference("baseline", 0.915))
    texts = [tick.text for tick in _of_class(svg, "tick")]
    assert texts[-3:] == ["1", "2", "3"]
    assert texts[:2] == ["91.2%", "91.4%"]
    (line,) = _of_class(svg, "expected")
    assert line.findtext("title") == "baseline: 91.50%"
    places = _corners(_of_class(svg, "series-line")[0])[:, 1]
    share = (places[0] - float(line.get("y1", ""))) / (places[0] - places[1])
    assert share == pytest.approx(0.5, abs=0.01)


def test_one_epoch_is_a_dot_in_the_middle() -> None:
    (dot,) = _of_class(_chart(_line("a", [0.5])), "series-dot")
    assert float(dot.get("cx", "")) == pytest.approx((62 + 8 + 700 - 12 - 8) / 2)


def test_lines_of_one_colour_are_dashed_in_another_way() -> None:
    lines = [_line(f"line {number} <b>", [0.1, 0.2]) for number in range(COLOURS + 1)]
    drawn = _of_class(_chart(*lines), "series-line")
    looks = {(line.get("class"), line.get("stroke-dasharray")) for line in drawn}
    assert len(looks) == COLOURS + 1
    legend = _parse(line_legend(lines, Reference("base", 0.1)))
    entries = [(span[0][0].get("class"), span[0][0].get("stroke-dasharray"), span[0].tail) for span in legend]
    assert entries[:-1] == [
        (line.get("class"), line.get("stroke-dasharray"), given.name) for line, given in zip(drawn, lines, strict=True)
    ]
    assert entries[-1] == ("expected", None, "base")


def test_a_long_line_has_no_dots() -> None:
    assert not _of_class(_chart(_line("a", [0.5, 0.6] * 40)), "series-dot")


@pytest.mark.parametrize(
    ("values", "low", "high"), [([0.913, 0.927], 0.91, 0.93), ([3.0, 3.0], 2.85, 3.15), ([0.0, 0.0], -0.6, 0.6)]
)
def test_a_linear_scale_ends_on_round_numbers_beyond_the_values(values: list[float], low: float, high: float) -> None:
    scale = linear_scale(values, 0, 1)
    assert scale.low <= min(values) <= max(values) <= scale.high
    assert [scale.low, scale.high] == pytest.approx([low, high])
    assert 3 <= len(scale.ticks) <= 9

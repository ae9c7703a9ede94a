"""The page of a comparison, from values written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tlvcli.pages.comparison import render_comparison_page
from tlvcli.pages.comparison_values import CellView, ChartView, ComparisonPage, PointView, TableView
from tlvcli.pages.line_chart import Line, LinePoint, Reference
from tlvcli.pages.values import Origin


@pytest.fixture
def page() -> ComparisonPage:
    """Two variants, of which the second is the best, and a cell that failed."""
    line = Line("a/he/full", [LinePoint(1, 0.5, 0.4, 0.6), LinePoint(2, 0.7, 0.6, 0.8)])
    return ComparisonPage(
        heading="resnet18 on <photos>",
        verdict=["Best on val: a/tlv/full.", "2 cells."],
        table=TableView([["method", "val top-1"], ["he", "70.00 %"], ["tlv", "80.00 %"]], (1,), 1),
        notes=["Top-1 of the epoch that is best on val."],
        charts=[ChartView("", [line])],
        has_bands=True,
        reference=Reference("a/he/full after its last epoch", 0.7),
        points=[PointView("a/tlv/full", "lr 0.1", "80.00 %", "–", is_default=True, is_chosen=True)],
        cells=[
            CellView("a/he/full seed 0", "val 70.00%", failed=False, commands=["tlv train a.pth"]),
            CellView(
                "a/tlv/full seed 0", "no-space: full", failed=True, commands=["tlv transfer a b c", "tlv train c"]
            ),
        ],
        origin=Origin("tlv compare --source a.pth", [("device", "cpu")]),
    )


def test_the_page_shows_every_part_once(page: ComparisonPage) -> None:
    html = render_comparison_page(page)
    assert html.count("<title>resnet18 on &lt;photos&gt;</title>") == 1
    assert "<td><strong>tlv</strong></td>" in html
    assert "<td>he</td>" in html
    assert html.count("<svg") == 1 + 2  # the chart, and two pieces of line in its legend
    assert "chosen, default" in html
    assert html.index("no-space: full") < html.index("1 trained") < html.index("val 70.00%")
    assert "tlv transfer a b c\ntlv train c" in html
    assert "<script" not in html


def test_several_charts_are_titled(page: ComparisonPage) -> None:
    charts = [ChartView("full", page.charts[0].lines), ChartView("two-rate", page.charts[0].lines)]
    html = render_comparison_page(replace(page, charts=charts))
    assert [f"<h3>{title}</h3>" in html for title in ("full", "two-rate")] == [True, True]


def test_a_grid_without_a_trained_cell_has_no_chart(page: ComparisonPage) -> None:
    html = render_comparison_page(replace(page, charts=[], points=[], reference=None, has_bands=False))
    assert "<svg" not in html
    assert "Val top-1 by epoch" not in html

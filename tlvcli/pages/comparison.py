"""The page of `tlv compare` as one file of HTML."""

from __future__ import annotations

from tlvcli.pages.comparison_values import ComparisonPage
from tlvcli.pages.environment import page_environment
from tlvcli.pages.line_chart import line_chart, line_legend


def render_comparison_page(page: ComparisonPage) -> str:
    """Return the page of a grid; the same values give the same bytes."""
    template = page_environment().get_template("comparison.html")
    return template.render(page=page, line_chart=line_chart, line_legend=line_legend)

"""Values into one file of HTML, which works without network and script, in light and dark, wide and narrow."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from tlvcli.pages.distance_chart import distance_chart
from tlvcli.pages.distribution_chart import distribution_chart
from tlvcli.pages.kernel_strip import STEPS, kernel_strip
from tlvcli.pages.matrix_chart import matrix_chart
from tlvcli.pages.pictures import colour_ramp
from tlvcli.pages.svg import figure_text
from tlvcli.pages.values import ShiftPage, SimilarityPage

if TYPE_CHECKING:
    from jinja2 import Environment

# Cells of all strips together; a layer gets fewer than its kernels where there are more.
_MOST_CELLS, _LEAST_CELLS = 8_000, 48
_LARGEST_FACTOR = 1_000


def render_shift_page(page: ShiftPage) -> str:
    """Return the page of two sets of images through one network; the same values give the same bytes."""
    num_kernels = sum(layer.channels for layer in page.layers)
    most_cells = num_kernels if num_kernels <= _MOST_CELLS else max(_LEAST_CELLS, _MOST_CELLS // len(page.layers))
    return (
        _environment()
        .get_template("shift.html")
        .render(
            page=page,
            steps=range(STEPS, 0, -1),
            distance_chart=distance_chart,
            kernel_strip=partial(kernel_strip, larger_is_shifted=page.larger_is_shifted, most_cells=most_cells),
            has_thresholds=any(layer.threshold is not None for layer in page.layers),
            is_grouped=any(layer.channels > most_cells for layer in page.layers),
            distribution_chart=partial(distribution_chart, page.edges),
            ramp=colour_ramp(),
        )
    )


def render_similarity_page(page: SimilarityPage) -> str:
    """Return the page of one set of images through two networks; the same values give the same bytes."""
    return (
        _environment().get_template("similarity.html").render(page=page, matrix_chart=matrix_chart, ramp=colour_ramp())
    )


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("tlvcli.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"figure": figure_text, "percent": _percent, "times": _times}
    return environment


def _percent(share: float) -> str:
    return f"{share:.0%}"


def _times(factor: float, other: str) -> str:
    """Say how an image's |a| compares with the other set's; a kernel that is silent has no factor worth a digit."""
    if factor > _LARGEST_FACTOR:
        return f"over {_LARGEST_FACTOR:,} × the {other}'s"
    if factor < 1 / _LARGEST_FACTOR:
        return f"silent: under 1/{_LARGEST_FACTOR:,} of the {other}'s"
    return f"{figure_text(factor)} × the {other}'s" if factor >= 1 else f"1/{figure_text(1 / factor)} of the {other}'s"

"""Values into one file of HTML, which works without network and script, in light and dark, wide and narrow."""

from __future__ import annotations

from functools import partial

from tlvcli.pages.distance_chart import distance_chart
from tlvcli.pages.distribution_chart import distribution_chart
from tlvcli.pages.environment import page_environment
from tlvcli.pages.kernel_strip import STEPS, kernel_strip
from tlvcli.pages.matrix_chart import matrix_chart
from tlvcli.pages.pictures import colour_ramp
from tlvcli.pages.values import ShiftPage, SimilarityPage

# Cells of all strips together; a layer gets fewer than its kernels where there are more.
_MOST_CELLS, _LEAST_CELLS = 8_000, 48


def render_shift_page(page: ShiftPage) -> str:
    """Return the page of two sets of images through one network; the same values give the same bytes."""
    num_kernels = sum(layer.channels for layer in page.layers)
    most_cells = num_kernels if num_kernels <= _MOST_CELLS else max(_LEAST_CELLS, _MOST_CELLS // len(page.layers))
    return (
        page_environment()
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
    template = page_environment().get_template("similarity.html")
    return template.render(page=page, matrix_chart=matrix_chart, ramp=colour_ramp())

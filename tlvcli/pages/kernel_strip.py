"""Every kernel of a layer as a cell of a strip, the most shifted first."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence

from markupsafe import Markup

from tlvcli.pages.drawing import drawing
from tlvcli.pages.svg import element, figure_text, tooltip

_HEIGHT = 10
# Steps of a factor of two on either side of the threshold, of which the last is open.
STEPS = 4


def kernel_strip(
    distances: Sequence[float],
    specific: Collection[int],
    threshold: float | None,
    *,
    larger_is_shifted: bool,
    most_cells: int,
) -> Markup:
    """Return an SVG as wide as its box: a cell per kernel, or for more than `most_cells` per run of ranks.

    Colours tell distance by threshold, in factors of two; where there is no threshold, shifted or not.
    """
    order = sorted(range(len(distances)), key=distances.__getitem__, reverse=larger_is_shifted)
    # Shifted ones first, where something else than the distance decides.
    order.sort(key=lambda kernel: kernel not in specific)
    num_cells = min(len(order), most_cells)
    cells = []
    for cell in range(num_cells):
        ranks = range(cell * len(order) // num_cells, (cell + 1) * len(order) // num_cells)
        kernels = [order[rank] for rank in ranks]
        middle = kernels[len(kernels) // 2]
        name = _colour(distances[middle], threshold, is_specific=middle in specific, larger=larger_is_shifted)
        text = _say(kernels, ranks, distances, specific, threshold)
        path = f"M{ranks.start} 0h{len(ranks)}v{_HEIGHT}h-{len(ranks)}z"
        cells.append(element("path", tooltip(text), class_=name, d=path))
    label, stretch = f"{len(specific)} of {len(order)} kernels shifted", {"preserveAspectRatio": "none"}
    return drawing(label, *cells, width=len(order), height=_HEIGHT, class_="strip", **stretch)


def _colour(distance: float, threshold: float | None, *, is_specific: bool, larger: bool) -> str:
    side = "s" if is_specific else "g"
    if threshold is None:
        return f"{side}{STEPS - 1}"
    if distance <= 0 or threshold <= 0:
        return f"{side}{STEPS}"
    factor = abs(math.log2(distance / threshold))
    # Where the colour of a side would contradict the decision, its palest is honest enough.
    agrees = (distance > threshold) == (is_specific == larger)
    return f"{side}{min(STEPS, 1 + int(factor)) if agrees else 1}"


def _say(
    kernels: Sequence[int],
    ranks: range,
    distances: Sequence[float],
    specific: Collection[int],
    threshold: float | None,
) -> str:
    if len(kernels) > 1:
        ends = figure_text(distances[kernels[0]]), figure_text(distances[kernels[-1]])
        return f"kernels ranked {ranks.start + 1} to {ranks.stop}: {ends[0]} to {ends[1]}"
    (kernel,) = kernels
    distance = distances[kernel]
    times = f", {figure_text(distance / threshold)} × threshold" if threshold else ""
    return f"kernel {kernel}: {figure_text(distance)}{times}, {'specific' if kernel in specific else 'general'}"

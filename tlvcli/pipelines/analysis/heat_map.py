"""The similarity of two networks as a picture: dark where layers are unrelated, bright where they are alike."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.report import OutputInfo
from tlvcli.io.images import write_image
from tlvcli.pipelines.analysis.similarity_result import ComparedNetwork, SimilaritySection

if TYPE_CHECKING:
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

# Names below this size cannot be read; of more layers, only some are named.
_INCHES_PER_LAYER, _LARGEST = 0.16, 12.0


def draw_heat_map(section: SimilaritySection, path: Path, *, force: bool) -> OutputInfo:
    """Write the matrix as a PNG; the best partner of each layer of the first network is marked."""
    image = BytesIO()
    _draw(section).savefig(image, format="png")
    return write_image(path, image.getvalue(), force=force)


def _draw(section: SimilaritySection) -> Figure:
    import numpy as np
    from matplotlib.figure import Figure

    first, second = section.networks
    height, width = (min(_LARGEST, 2 + _INCHES_PER_LAYER * len(network.layers)) for network in (first, second))
    figure = Figure(figsize=(max(5.0, width + 1), max(4.0, height)), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    values = np.array([[np.nan if value is None else value for value in row] for row in section.cka])
    image = axes.imshow(values, cmap="magma", vmin=0, vmax=1, interpolation="nearest", aspect="auto")
    places = {layer.name: place for place, layer in enumerate(second.layers)}
    best = {row: places[layer.best] for row, layer in enumerate(first.layers) if layer.best is not None}
    axes.scatter(list(best.values()), list(best), s=10, facecolors="none", edgecolors="#33bbee", linewidths=1)
    _name_layers(axes.yaxis, first)
    _name_layers(axes.xaxis, second)
    axes.tick_params(axis="x", rotation=90)
    axes.set_title(f"linear CKA on {section.images:,} images; o: best partner of each row", fontsize=9)
    figure.colorbar(image, ax=axes, fraction=0.04, extend="min")
    return figure


def _name_layers(axis: Axis, network: ComparedNetwork) -> None:
    step = -(-len(network.layers) // round(_LARGEST / _INCHES_PER_LAYER))
    chosen = range(0, len(network.layers), step)
    axis.set_ticks(list(chosen), [network.layers[place].name for place in chosen], fontsize=6)
    axis.set_label_text(f"{network.architecture.name} ({Path(network.checkpoint).name})", fontsize=8)

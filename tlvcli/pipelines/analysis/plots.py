"""Pictures of a shift: the layers with their null bands, and every kernel."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.images import write_image
from tlvcli.pipelines.analysis.result import LayerStatistic, ShiftSection

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LAYERS, _KERNELS = "layers.png", "kernels.png"
_GENERAL, _SPECIFIC, _NULL = "#4477aa", "#cc6677", "#999999"
_MOST_LABELS = 60


def refuse_plots(folder: Path, *, force: bool) -> None:
    """Raise `output-exists` before the work where a picture would replace one."""
    for name in (_LAYERS, _KERNELS) if folder.is_dir() else ():
        refuse_existing(folder / name, force=force)


def draw_shift(section: ShiftSection, folder: Path, *, force: bool) -> list[OutputInfo]:
    """Draw `layers.png` and `kernels.png` of the first statistic into `folder`, which is made."""
    pictures = {_LAYERS: _draw_layers(section)}
    if section.layers[0].statistics[0].kernels is not None:
        pictures[_KERNELS] = _draw_kernels(section)
    outputs = []
    for name, figure in pictures.items():
        image = BytesIO()
        figure.savefig(image, format="png")
        outputs.append(write_image(folder / name, image.getvalue(), force=force))
    return outputs


def _draw_layers(section: ShiftSection) -> Figure:
    figure, (above, below) = _figure(section, rows=2)
    places = range(len(section.layers))
    first = [layer.statistics[0] for layer in section.layers]
    above.plot(
        places, [statistic.distance for statistic in first], "o-", color=_SPECIFIC, markersize=3, label="distance"
    )
    bands = [statistic.null for statistic in first]
    if all(bands):
        low, middle, high = ([getattr(band, name) for band in bands] for name in ("low", "median", "high"))
        above.fill_between(places, low, high, color=_NULL, alpha=0.3, linewidth=0, label="no shift, 5 to 95 %")
        above.plot(places, middle, color=_NULL, linewidth=1)
    above.set_yscale("log" if all(statistic.distance > 0 for statistic in first) else "linear")
    above.set_ylabel(f"{first[0].name} of a layer")
    above.margins(y=0.25)  # room for the legend
    above.legend(frameon=False, fontsize=7)
    below.bar(places, [layer.share for layer in section.layers], color=_SPECIFIC, width=0.8)
    below.set_ylim(0, 1)
    below.set_ylabel("share of kernels shifted")
    if section.overall.expected_share is not None:
        below.axhline(section.overall.expected_share, color=_NULL, linewidth=1)
    return figure


def _draw_kernels(section: ShiftSection) -> Figure:
    figure, (axes,) = _figure(section, rows=1)
    for colour, wanted, label in ((_GENERAL, False, "general"), (_SPECIFIC, True, "specific")):
        points = [
            (place + 0.7 * (kernel / layer.channels - 0.5), value)
            for place, layer in enumerate(section.layers)
            for kernel, value in enumerate(_kernels(layer.statistics[0]))
            if (kernel in set(layer.specific)) == wanted
        ]
        if points:
            axes.plot(*zip(*points, strict=True), ".", color=colour, markersize=2, label=label)
    axes.set_yscale("symlog", linthresh=1e-4)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(f"{section.layers[0].statistics[0].name} of a kernel")
    axes.legend(frameon=False, fontsize=7, markerscale=4)
    return figure


def _kernels(statistic: LayerStatistic) -> list[float]:
    assert statistic.kernels is not None
    return statistic.kernels


def _figure(section: ShiftSection, *, rows: int) -> tuple[Figure, list[Axes]]:
    """Return a figure whose rows share an axis of layers."""
    from matplotlib.figure import Figure

    num_layers = len(section.layers)
    width = min(16.0, max(6.0, 0.22 * num_layers + 2))
    figure = Figure(figsize=(width, 1.4 + 2.2 * rows), dpi=120, layout="constrained")
    axes = [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]
    for each in axes:
        each.set_xlim(-0.6, num_layers - 0.4)
        each.set_xticks([])
        for side in ("top", "right"):
            each.spines[side].set_visible(False)
    step = -(-num_layers // _MOST_LABELS)
    axes[-1].set_xticks(
        range(0, num_layers, step), [layer.name for layer in section.layers[::step]], rotation=90, fontsize=6
    )
    axes[0].set_title(f"{section.architecture.name}: {section.source.data} against {section.target.data}", fontsize=9)
    return figure, axes

"""The picture of a comparison: val top-1 by epoch, a line and a band for each variant."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

from tlvcli.core.report import OutputInfo
from tlvcli.io.images import write_image
from tlvcli.pipelines.comparing.result import CompareResult
from tlvcli.pipelines.comparing.table import short_names

# The page's colours, in its order.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#b4548c", "#8a6a00", "#6a51c0", "#8a4b2a", "#5b636d")
_DASHES = ("-", "--", ":", "-.")
_FEW_EPOCHS = 30


def draw_comparison(result: CompareResult, path: Path) -> OutputInfo:
    """Draw the curves into `path`, 900 pixels wide, over an earlier picture; at least one variant has a curve.

    Raises:
        TlvError: what keeps the file from being written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(9, 5), dpi=100, layout="constrained")
    axes = figure.add_subplot()
    names = short_names(result.variants)
    for place, variant in enumerate(result.variants):
        if not variant.curve:
            continue
        epochs = [point.epoch for point in variant.curve]
        means = [point.mean for point in variant.curve]
        colour = _COLOURS[place % len(_COLOURS)]
        axes.plot(
            epochs,
            means,
            color=colour,
            linestyle=_DASHES[place // len(_COLOURS) % len(_DASHES)],
            marker="o" if len(epochs) <= _FEW_EPOCHS else "",
            markersize=3,
            label=names[variant.name],
        )
        if any(point.spread is not None for point in variant.curve):
            spreads = [point.spread or 0.0 for point in variant.curve]
            low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
            high = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
            axes.fill_between(epochs, low, high, color=colour, alpha=0.14, linewidth=0)
    if result.baseline_final is not None:
        axes.axhline(result.baseline_final, color="#5b636d", linewidth=0.8, linestyle="--")
    axes.set_xlabel("epoch")
    axes.set_ylabel("val top-1")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#eeeeee")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    image = BytesIO()
    figure.savefig(image, format="png")
    return write_image(path, image.getvalue(), force=True)

"""A picture of accuracy over the epochs: a line for each variant, and a band for its seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

# Paul Tol's bright scheme, which the colour-blind can tell apart; then his dark one.
_COLOURS = (
    *("#bbbbbb", "#4477aa", "#66ccee", "#ccbb44", "#ee6677", "#228833", "#aa3377"),
    *("#222255", "#663333", "#666633"),
)


def draw_accuracy(curves: Mapping[str, Sequence[Sequence[float]]], stem: Path, *, title: str) -> None:
    """Write STEM.png and STEM.svg; a curve holds for each epoch the top-1 of all seeds, of which a band has the spread.

    The band is a sample standard deviation to either side of the mean.
    """
    figure = Figure(figsize=(8, 5), dpi=120, layout="constrained")
    axes = figure.subplots()
    for number, (variant, curve) in enumerate(curves.items()):
        colour = _COLOURS[number % len(_COLOURS)]
        epochs = range(1, len(curve) + 1)
        means = [statistics.mean(values) for values in curve]
        spreads = [statistics.stdev(values) if len(values) > 1 else 0.0 for values in curve]
        axes.plot(epochs, means, color=colour, marker="o", markersize=3, label=f"{variant} {means[-1]:.1%}")
        low = [mean - spread for mean, spread in zip(means, spreads, strict=True)]
        high = [mean + spread for mean, spread in zip(means, spreads, strict=True)]
        axes.fill_between(epochs, low, high, color=colour, alpha=0.15, linewidth=0)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("epoch")
    axes.set_ylabel("top-1 on val")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.grid(axis="y", color="#eeeeee")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    stem.parent.mkdir(parents=True, exist_ok=True)
    for suffix in (".png", ".svg"):
        figure.savefig(stem.with_name(stem.name + suffix))

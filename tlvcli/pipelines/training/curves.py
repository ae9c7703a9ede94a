"""The picture of a training run: loss, accuracy and learning rate over the epochs."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlvcli.core.report import OutputInfo
from tlvcli.io.images import write_image
from tlvcli.pipelines.training.job import EpochResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_TRAIN, _VAL, _FAINT = "#bb5566", "#004488", "#999999"


def draw_curves(epochs: Sequence[EpochResult], path: Path, *, best_epoch: int) -> OutputInfo:
    """Draw the epochs into `path`, 800 pixels wide, over an earlier picture of the run; `best_epoch` is marked.

    Raises:
        TlvError: what keeps the file from being written.
    """
    image = BytesIO()
    _draw(epochs, best_epoch).savefig(image, format="png")
    return write_image(path, image.getvalue(), force=True)


def _draw(epochs: Sequence[EpochResult], best_epoch: int) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    figure = Figure(figsize=(8, 5), dpi=100, layout="constrained")
    loss, top1, rate = figure.subplots(3, 1, sharex=True, height_ratios=(4, 4, 1))
    numbers = [epoch.epoch for epoch in epochs]
    # A single epoch is a point, which no line shows; hundreds of points hide the line.
    marker = "o" if len(epochs) <= 30 else ""
    best = next(epoch for epoch in epochs if epoch.epoch == best_epoch)
    points: dict[str, Any] = {"marker": marker, "markersize": 3, "clip_on": False}

    loss.plot(numbers, [epoch.train_loss for epoch in epochs], color=_TRAIN, label="train", **points)
    loss.plot(numbers, [epoch.val_loss for epoch in epochs], color=_VAL, label="val", **points)
    loss.set_ylabel("loss (nats)")
    loss.set_ylim(bottom=0)
    loss.legend(frameon=False)

    top1.plot(numbers, [epoch.val_top1 for epoch in epochs], color=_VAL, **points)
    top1.plot([best_epoch], [best.val_top1], color=_VAL, marker="o", markersize=9, fillstyle="none", clip_on=False)
    top1.set_title(f"best: epoch {best_epoch}, val top-1 {best.val_top1:.2%}", fontsize=10)
    top1.set_ylabel("val top-1")
    top1.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))

    rate.plot(numbers, [epoch.lr for epoch in epochs], color=_FAINT, **points)
    rate.set_ylabel("rate", color=_FAINT)
    rate.tick_params(axis="y", colors=_FAINT)
    rate.ticklabel_format(axis="y", style="sci", scilimits=(-2, 2))
    rate.set_ylim(bottom=0)
    rate.set_xlabel("epoch")
    rate.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    for axes in (loss, top1, rate):
        _dress(axes, best_epoch)
    return figure


def _dress(axes: Axes, best_epoch: int) -> None:
    axes.axvline(best_epoch, color=_FAINT, linewidth=0.8, linestyle=":")
    axes.grid(axis="y", color="#eeeeee")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)

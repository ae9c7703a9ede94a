"""Histograms of a checkpoint's weights as pictures, one for each layer."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.report import OutputInfo
from tlvcli.core.tensors import TensorSource
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.images import write_image
from tlvcli.pipelines.inspection.content import InspectedLayer, InspectedTensor

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tlvcli.methods.weights.histogram import Histogram

_BINS = 80
_LONGEST_NAME = 200


def draw_histograms(
    source: TensorSource, layers: Sequence[InspectedLayer], folder: Path, *, force: bool
) -> list[OutputInfo]:
    """Draw the floating weights of every layer into `folder`, which is made; files are named after the layers.

    Raises:
        TlvError: `no-weights` where no layer has floating weights, or what keeps a file from being written.
    """
    from tlvcli.methods.weights.histogram import weight_histogram

    chosen = [(layer, weight) for layer in layers if (weight := _weight_of(layer))]
    if not chosen:
        raise TlvError("no-weights", "no layer has floating weights to draw", "--layers selects others")
    paths = [folder / f"{_file_name(layer.name or weight.name)}.png" for layer, weight in chosen]
    for path in paths if folder.is_dir() else ():
        refuse_existing(path, force=force)  # before the first picture, not after half of them
    outputs = []
    for path, (layer, weight) in zip(paths, chosen, strict=True):
        histogram = weight_histogram(source, weight.name, _BINS)
        if histogram is None:  # not one finite value, of which --stats speaks
            continue
        image = BytesIO()
        _draw(layer, weight, histogram).savefig(image, format="png")
        outputs.append(write_image(path, image.getvalue(), force=force))
    return outputs


def _file_name(layer: str) -> str:
    """Return the layer's name, or where it is no name for a file (`../x`) a part of it and of its hash."""
    plain = re.sub(r"[^\w.+-]", "_", layer, flags=re.ASCII)[:_LONGEST_NAME]
    return plain if plain == layer else f"{plain}-{hashlib.sha256(layer.encode()).hexdigest()[:8]}"


def _weight_of(layer: InspectedLayer) -> InspectedTensor | None:
    floating = [tensor for tensor in layer.tensors if tensor.parameters and "float" in tensor.dtype]
    return max(floating, key=lambda tensor: (len(tensor.shape), tensor.parameters), default=None)


def _draw(layer: InspectedLayer, weight: InspectedTensor, histogram: Histogram) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.2), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.stairs(histogram.counts, histogram.edges, fill=True, color="#4477aa")
    axes.set_yscale("symlog")
    axes.set_ylim(bottom=0)
    axes.axvline(0, color="#999999", linewidth=0.8)
    shape = "x".join(map(str, weight.shape)) or "scalar"
    axes.set_title(f"{weight.name}  {shape}  {weight.dtype}", fontsize=9)
    axes.set_xlabel("value")
    axes.set_ylabel(f"elements of {weight.parameters:,}")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure

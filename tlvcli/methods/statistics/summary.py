"""What is kept of one layer's activations on one data set, and how two such summaries become one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tlvcli.methods.statistics.moments import pool_moments
from tlvcli.methods.statistics.reservoir import Reservoir, join_reservoirs

# Becker's floor under the magnitudes, so that a zero has a logarithm.
EPSILON = 1e-4
# Becker compares samples of that many batches.
SAMPLED_BATCHES = 3


@dataclass(frozen=True)
class LayerSummary:
    """Of one layer: float64 tensors on the CPU; a part that was not asked for is None.

    The distances also take summaries with more dimensions in front ([splits, C, ...]); the null makes those.

    Args:
        layer_name: of the layer.
        num_channels: C.
        num_images: whose activations it summarises.
        count: values per channel, [].
        log_moments: of log(|a| + 1e-4): mean and M2, the sum of squared deviations, [C, 2]; M3 and M4 too, [C, 4],
            where moments were asked for.
        value_moments: of a, [C, 4].
        histogram: of |a| in `bins.ACTIVATION_BINS`, counts [C, columns].
        gram_histogram: of the entries of each map's Gram matrix M M^T / width, in `bins.GRAM_BINS`, [C, columns].
        image_moments: mean and M2 over the images of each channel's mean, [C, 2].
        scatter: sum over the images of outer products of the channel means' deviations, [C, C].
        deviations: [..., n, C], whose product is the scatter: what the null's halves have instead.
        channel_gram: sum over images and positions of outer products of the channels, [C, C].
        samples: |a + 1e-4| by the number of a batch's first image, [C, values]: those of the three first batches.
        reservoir: some images one by one, for the null.
    """

    layer_name: str
    num_channels: int
    num_images: int
    count: Tensor
    log_moments: Tensor | None = None
    value_moments: Tensor | None = None
    histogram: Tensor | None = None
    gram_histogram: Tensor | None = None
    image_moments: Tensor | None = None
    scatter: Tensor | None = None
    deviations: Tensor | None = None
    channel_gram: Tensor | None = None
    samples: Mapping[int, Tensor] | None = None
    reservoir: Reservoir | None = None


_SUMS = ("histogram", "gram_histogram", "channel_gram")
_MOMENTS = ("log_moments", "value_moments")


def merge(a: LayerSummary, b: LayerSummary) -> LayerSummary:
    """Return the summary of the images of both, as one pass over all of them gives it."""
    assert (a.layer_name, a.num_channels) == (b.layer_name, b.num_channels)
    counts = torch.stack([a.count, b.count])
    images = torch.tensor([a.num_images, b.num_images], dtype=torch.float64)
    joined: dict[str, Any] = _join(a, b, _MOMENTS, lambda x, y: _pool(counts, x, y))
    joined |= _join(a, b, ("image_moments",), lambda x, y: _pool(images, x, y))
    joined |= _join(a, b, _SUMS, torch.add)
    if a.scatter is not None and b.scatter is not None:
        assert a.image_moments is not None
        assert b.image_moments is not None
        gap = b.image_moments[:, 0] - a.image_moments[:, 0]
        joined["scatter"] = a.scatter + b.scatter + torch.outer(gap, gap) * (images.prod() / images.sum()).item()
    return replace(
        a,
        num_images=a.num_images + b.num_images,
        count=counts.sum(),
        samples=None if a.samples is None or b.samples is None else first_batches({**a.samples, **b.samples}),
        reservoir=None if a.reservoir is None or b.reservoir is None else join_reservoirs(a.reservoir, b.reservoir),
        **joined,
    )


def _join(
    a: LayerSummary, b: LayerSummary, names: tuple[str, ...], function: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, Tensor]:
    return {name: function(getattr(a, name), getattr(b, name)) for name in names if getattr(a, name) is not None}


def _pool(counts: Tensor, a: Tensor, b: Tensor) -> Tensor:
    return pool_moments(counts.to(a.device), torch.stack([a, b]))


def first_batches(samples: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """Return the samples of the batches that come first in the data set, whoever saw them."""
    return {number: samples[number] for number in sorted(samples)[:SAMPLED_BATCHES]}


_PLAIN = (*_MOMENTS, *_SUMS, "image_moments", "scatter")
_SAMPLES, _RESERVOIR = "samples.", "reservoir."


def to_tensors(summary: LayerSummary) -> dict[str, Tensor]:
    """Return all of `summary` but the layer's name as tensors, for another process."""
    sizes = torch.tensor([summary.num_channels, summary.num_images])
    tensors = {"sizes": sizes, "count": summary.count}
    tensors |= {name: tensor for name in _PLAIN if (tensor := getattr(summary, name)) is not None}
    tensors |= {f"{_SAMPLES}{number}": values for number, values in (summary.samples or {}).items()}
    if kept := summary.reservoir:
        numbers = {"capacity": torch.tensor(kept.capacity), "keys": kept.keys, "counts": kept.counts}
        tensors |= {f"{_RESERVOIR}{name}": tensor for name, tensor in (numbers | kept.rows()).items()}
    return tensors


def from_tensors(layer_name: str, tensors: Mapping[str, Tensor]) -> LayerSummary:
    """Return the summary that `to_tensors` took apart."""
    num_channels, num_images = tensors["sizes"].tolist()
    samples = _below(_SAMPLES, tensors)
    kept = _below(_RESERVOIR, tensors)
    return LayerSummary(
        layer_name,
        num_channels,
        num_images,
        tensors["count"],
        samples={int(number): values for number, values in samples.items()} or None,
        reservoir=Reservoir(int(kept.pop("capacity")), **kept) if kept else None,
        **{name: tensors[name] for name in _PLAIN if name in tensors},
    )


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}

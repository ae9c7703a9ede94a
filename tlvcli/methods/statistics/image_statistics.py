"""What is computed of every image by itself: sums over its positions, before images are put together."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tlvcli.methods.statistics.bins import ACTIVATION_BINS, GRAM_BINS
from tlvcli.methods.statistics.moments import pool_moments, row_moments
from tlvcli.methods.statistics.summary import EPSILON
from tlvcli.methods.statistics.table import Part

# Values worked on at a time: few enough to stay in a CPU's cache from one step to the next; on a GPU, in its memory.
_BLOCK = {"cpu": 1 << 18, "cuda": 1 << 26}


@dataclass(frozen=True)
class ImageStatistics:
    """Of n images, on the device of their activations; what was not asked for is None.

    Args:
        numbers: [n] int64, on the CPU.
        counts: [n] float64, on the CPU: values per channel.
        is_finite: [] bool: no activation was NaN or infinite.
        log_moments: [n, C, 2 or 4].
        value_moments: [n, C, 4].
        image_means: [n, C].
        histogram: [n, C, columns] int32.
        gram_histogram: [n, C, columns] int32.
        channel_gram: [C, C]: the sum over the images.
    """

    numbers: Tensor
    counts: Tensor
    is_finite: Tensor
    log_moments: Tensor | None = None
    value_moments: Tensor | None = None
    image_means: Tensor | None = None
    histogram: Tensor | None = None
    gram_histogram: Tensor | None = None
    channel_gram: Tensor | None = None


def image_statistics(activation: Tensor, numbers: Tensor, parts: frozenset[Part]) -> ImageStatistics:
    """Return what `parts` need of a batch, [n, C, *spatial] with at least one spatial dimension."""
    n, num_channels = activation.shape[:2]
    wide = activation if activation.dtype == torch.float64 else activation.float()
    rows = wide.reshape(n * num_channels, -1)
    order = 4 if "moments" in parts else 2
    flags: list[Tensor] = []

    def per_image(values: Tensor) -> Tensor:
        return values.reshape(n, num_channels, *values.shape[1:])

    made: dict[str, Tensor] = {}
    if parts & {"log-moments", "moments"}:
        made["log_moments"] = per_image(_log_moments(rows, order))
    if "moments" in parts:
        made["value_moments"] = per_image(torch.cat([row_moments(block, 4) for block in _blocks(rows)]))
    if parts & {"image-means", "covariance"}:
        made["image_means"] = per_image(rows.mean(-1))
    if "channel-gram" in parts:
        channels = wide.flatten(2).transpose(0, 1).reshape(num_channels, -1)
        made["channel_gram"] = (channels @ channels.T).double()
    flags += [tensor.isfinite().all() for tensor in made.values()]
    if "histogram" in parts:
        counted = [ACTIVATION_BINS.count(block) for block in _blocks(rows)]
        made["histogram"] = per_image(torch.cat([counts for counts, _ in counted]))
        flags += [is_finite for _, is_finite in counted]
    if "spatial-gram" in parts:
        counted = list(_gram_histograms(wide.reshape(n * num_channels, *_map_shape(activation))))
        made["gram_histogram"] = per_image(torch.cat([counts for counts, _ in counted]))
        flags += [is_finite for _, is_finite in counted]
    return ImageStatistics(
        numbers=numbers,
        counts=torch.full((n,), rows.shape[1], dtype=torch.float64),
        is_finite=torch.stack(flags).all() if flags else wide.isfinite().all(),
        **made,
    )


def _blocks(rows: Tensor) -> tuple[Tensor, ...]:
    return torch.split(rows, max(1, _BLOCK[rows.device.type] // rows.shape[1]))


def _log_moments(rows: Tensor, order: int) -> Tensor:
    blocks = _blocks(rows)
    # One buffer for all blocks: the logarithms never leave the cache.
    buffer = torch.empty_like(blocks[0], requires_grad=False)
    one = torch.ones((), dtype=rows.dtype)
    moments = []
    for block in blocks:
        magnitudes = torch.abs(block, out=buffer[: len(block)])
        # log(|a| / eps + 1) is 0 for a zero, so that a kernel that never fires has no spread, not even by rounding.
        logs = torch.add(one, magnitudes, alpha=1 / EPSILON, out=magnitudes).log_()
        moments.append(row_moments(logs, order, scratch=logs))
    joined = torch.cat(moments).double()
    joined[:, 0] += math.log(EPSILON)
    return joined


def _map_shape(activation: Tensor) -> tuple[int, int]:
    """Height and width; a row of tokens has height 1, the width of a volume is what lies below its first dimension."""
    spatial = activation.shape[2:]
    return (1, spatial[0]) if len(spatial) == 1 else (spatial[0], spatial[1:].numel())


def _gram_histograms(maps: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    height, width = maps.shape[1:]
    for block in torch.split(maps, max(1, _BLOCK[maps.device.type] // (height * max(height, width)))):
        yield GRAM_BINS.count((block @ block.transpose(1, 2) / width).flatten(1))


def add_second_call(first: ImageStatistics, second: ImageStatistics) -> ImageStatistics:
    """Return the statistics of the same images where a layer ran twice: its values together."""
    counts = torch.stack([first.counts, second.counts])
    weights = counts.to(first.is_finite.device)

    def pooled(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else pool_moments(weights, torch.stack([a, b]))

    def added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
        return None if a is None or b is None else a + b

    means = None
    if first.image_means is not None and second.image_means is not None:
        shares = (weights / weights.sum(0))[..., None]
        means = first.image_means * shares[0] + second.image_means * shares[1]
    return replace(
        first,
        counts=counts.sum(0),
        is_finite=first.is_finite & second.is_finite,
        log_moments=pooled(first.log_moments, second.log_moments),
        value_moments=pooled(first.value_moments, second.value_moments),
        image_means=means,
        histogram=added(first.histogram, second.histogram),
        gram_histogram=added(first.gram_histogram, second.gram_histogram),
        channel_gram=added(first.channel_gram, second.channel_gram),
    )

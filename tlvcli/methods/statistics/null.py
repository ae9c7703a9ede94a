"""How large a distance is without a difference: the source set against itself."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.wording import counted
from tlvcli.methods.statistics.reservoir import pool_reservoirs
from tlvcli.methods.statistics.summary import LayerSummary
from tlvcli.methods.statistics.table import Statistic

# Halves of four images; fewer say nothing about spread.
MIN_IMAGES = 8
# Splits computed together, so that their histograms take some megabytes rather than gigabytes.
_AT_ONCE = 10


def null_distances(
    source: LayerSummary,
    statistic: Statistic,
    *,
    num_splits: int = 100,
    generator: torch.Generator,
    target_images: int | None = None,
    options: Config | None = None,
) -> Tensor:
    """Return the statistic between disjoint halves of the source's reservoir, [num_splits, C] or [num_splits].

    Halves of m images differ more than the sets of n and k images that are compared. Without a difference a
    distance shrinks as (1/n + 1/k)^power: power 1 where it is quadratic near 0, 1/2 where it is linear, 0 where it is
    already divided by its error; where bins may be nearly empty, or images fewer than channels, the law is measured
    from halves and quarters. The null is scaled by that. Drawing sets of m images from both reservoirs instead would
    need no such law, but would throw away what the other images know. k is `target_images`, or n.

    Raises:
        TlvError: `too-few-images-for-a-null`, below 8 images.
    """
    assert source.reservoir is not None
    num_kept = source.reservoir.num_images
    if num_kept < MIN_IMAGES:
        raise TlvError(
            "too-few-images-for-a-null",
            f"the source has {counted(num_kept, 'image')}; its halves say what no difference looks like "
            f"from {MIN_IMAGES} on",
            f"give at least {MIN_IMAGES} images, or decide by --threshold or --fraction",
        )
    size = num_kept // 2
    order = torch.rand(num_splits, num_kept, generator=generator).argsort(-1)
    halves = _distances(source, statistic, order, (size, size), options)
    compared = 1 / source.num_images + 1 / (target_images or source.num_images)
    power = statistic.null_power
    assert power is not None
    if power != "measured":
        return torch.mul(halves, (compared * size / 2) ** power)
    quarters = _distances(source, statistic, order, (size // 2, size // 2), options)
    return torch.mul(halves, _measured_scale(quarters.mean().item(), halves.mean().item(), size, compared))


def permuted_distances(
    source: LayerSummary,
    target: LayerSummary,
    statistic: Statistic,
    *,
    num_splits: int = 100,
    generator: torch.Generator,
    options: Config | None = None,
) -> tuple[Tensor, Tensor]:
    """Return the statistic between the two reservoirs, [C] or [], and with their images dealt at random, [splits, ...].

    Where both sets come from one source the former is a draw like the latter, whatever the statistic (Fisher 1935), so
    that p-values are exact up to the number of splits. Splits of the source alone know nothing of how far the scale
    itself, taken from a few images, may be off; p-values from them reject too often.
    """
    assert source.reservoir is not None
    assert target.reservoir is not None
    pool = replace(source, reservoir=pool_reservoirs(source.reservoir, target.reservoir))
    sizes = source.reservoir.num_images, target.reservoir.num_images
    order = torch.rand(num_splits, sum(sizes), generator=generator).argsort(-1)
    observed = _distances(pool, statistic, torch.arange(sum(sizes))[None], sizes, options)[0]
    return observed, _distances(pool, statistic, order, sizes, options)


def _distances(
    summary: LayerSummary, statistic: Statistic, order: Tensor, sizes: tuple[int, int], options: Config | None
) -> Tensor:
    """Between the first images of every row of `order` and the next ones."""
    first, end = sizes[0], sum(sizes)
    return torch.cat(
        [
            statistic.distance(_part(summary, chosen[:, :first]), _part(summary, chosen[:, first:end]), options)
            for chosen in torch.split(order, _AT_ONCE)
        ]
    )


def _measured_scale(quarters: float, halves: float, size: int, compared: float) -> float:
    """How much smaller a mean distance is than between sets of `size` images, at 1/n + 1/k = `compared`.

    It grows in proportion to x = 1/n + 1/k while x is small, and ever less as it nears the largest it can be:
    D = x / (slope + offset x), a straight line in 1/D and 1/x through the two that were measured.
    """
    if min(quarters, halves) <= 0:  # nothing varies at all
        return 1.0
    quarter = size // 2
    slope = max((1 / halves - 1 / quarters) / ((size - quarter) / 2), 0.0)
    offset = 1 / halves - slope * size / 2
    return 1 / (halves * (slope / compared + max(offset, 0.0)))


def _part(source: LayerSummary, chosen: Tensor) -> LayerSummary:
    """Return the summaries of some images of the reservoir, [splits, m], with the splits in front of every tensor."""
    kept = source.reservoir
    assert kept is not None
    weights = torch.zeros(len(chosen), kept.num_images, dtype=torch.float64).scatter_(1, chosen, 1.0)
    counts = (weights @ kept.counts)[:, None]
    image_moments = deviations = None
    if kept.image_means is not None:
        image_moments = _moments(weights, torch.ones(kept.num_images), kept.image_means, None)
        if source.scatter is not None:
            deviations = kept.image_means[chosen] - image_moments[:, None, :, 0]
    log_moments = None
    if kept.log_moments is not None:
        means, squares = kept.log_moments.double().unbind(-1)
        log_moments = _moments(weights, kept.counts, means, squares)
    return replace(
        source,
        num_images=chosen.shape[1],
        count=counts,
        log_moments=log_moments,
        value_moments=None,
        histogram=_sums(weights, kept.histogram),
        gram_histogram=_sums(weights, kept.gram_histogram),
        image_moments=image_moments,
        scatter=None,
        deviations=deviations,
        channel_gram=None,
        samples=None,
        reservoir=None,
    )


def _sums(weights: Tensor, histograms: Tensor | None) -> Tensor | None:
    if histograms is None:
        return None
    # float32 holds whole numbers to 2^24: some hundred maps of 112 x 112.
    return (weights.float() @ histograms.flatten(1).float()).double().reshape(len(weights), *histograms.shape[1:])


def _moments(weights: Tensor, counts: Tensor, means: Tensor, squares: Tensor | None) -> Tensor:
    """Mean and M2, [splits, C, 2], of the chosen images' own; around a common pivot they are plain sums."""
    pivot = means.mean(0)
    shifts, sizes = means - pivot, counts.double()[:, None]
    total = weights @ sizes
    sums = weights @ (sizes * shifts)
    around_pivot = weights @ (sizes * shifts**2 + (0 if squares is None else squares))
    return torch.stack([pivot + sums / total, (around_pivot - sums**2 / total).clamp(min=0)], dim=-1)

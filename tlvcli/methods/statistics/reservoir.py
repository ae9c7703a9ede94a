"""Per-image statistics of a fixed number of images, which do not depend on the order or the process they came in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

_ROWS = ("log_moments", "histogram", "gram_histogram", "image_means")


@dataclass(frozen=True)
class Reservoir:
    """The images with the smallest keys, by ascending key; what was not asked for is None.

    Args:
        capacity: at most that many images are kept.
        keys: [k] int64, on the CPU.
        counts: [k] float64, on the CPU: values per channel of each image.
        log_moments: [k, C, 2] float32: mean and M2 of log(|a| + 1e-4).
        histogram: [k, C, columns] int16, or int32 for maps of more than 32767 positions.
        gram_histogram: [k, C, columns] int16 or int32.
        image_means: [k, C] float64: each channel's mean.
    """

    capacity: int
    keys: Tensor
    counts: Tensor
    log_moments: Tensor | None = None
    histogram: Tensor | None = None
    gram_histogram: Tensor | None = None
    image_means: Tensor | None = None

    @property
    def num_images(self) -> int:
        """How many images it holds."""
        return len(self.keys)

    def rows(self) -> dict[str, Tensor]:
        """Return the per-image tensors that it holds, by field."""
        return {name: rows for name in _ROWS if (rows := getattr(self, name)) is not None}


def image_keys(image_numbers: Tensor, seed: int) -> Tensor:
    """Return a pseudo-random int64 key per image [n] (the finaliser of SplitMix64; Steele, Lea and Flood 2014)."""
    return _mixed(image_numbers ^ _mixed(torch.tensor(seed)))


def _mixed(keys: Tensor) -> Tensor:
    # Arithmetic wraps at 64 bits; the numbers are the published constants as signed integers.
    keys = (keys + 1) * -7046029254386353131
    for shift, factor in ((30, -4658895280553007687), (27, -7723592293110705685)):
        keys = (keys ^ _shifted(keys, shift)) * factor
    return keys ^ _shifted(keys, 31)


def _shifted(keys: Tensor, shift: int) -> Tensor:
    # The sign bit would be copied down.
    return (keys >> shift) & ((1 << (64 - shift)) - 1)


def join_reservoirs(a: Reservoir, b: Reservoir) -> Reservoir:
    """Return what one reservoir over the images of both holds."""
    assert a.capacity == b.capacity
    if a.num_images == a.capacity and b.keys.min() > a.keys[-1]:
        return a
    keys = torch.cat([a.keys, b.keys])
    order = keys.argsort()[: a.capacity]
    others = b.rows()
    joined: dict[str, Any] = {name: _pick(rows, others[name], order) for name, rows in a.rows().items()}
    return replace(a, keys=keys[order], counts=torch.cat([a.counts, b.counts])[order], **joined)


def pool_reservoirs(a: Reservoir, b: Reservoir) -> Reservoir:
    """Return all images of two data sets in one, those of `a` first; the keys no longer mean anything."""
    others = b.rows()
    everything = torch.arange(a.num_images + b.num_images)
    joined: dict[str, Any] = {name: _pick(rows, others[name], everything) for name, rows in a.rows().items()}
    return replace(
        a,
        capacity=len(everything),
        keys=torch.cat([a.keys, b.keys]),
        counts=torch.cat([a.counts, b.counts]),
        **joined,
    )


def _pick(a: Tensor, b: Tensor, order: Tensor) -> Tensor:
    wider = torch.promote_types(a.dtype, b.dtype)
    return torch.cat([a.to(wider), b.to(wider)])[order.to(a.device)]

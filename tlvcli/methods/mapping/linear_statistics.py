"""Cumulative statistics (TLV): target linear layers drawn from the mean and spread of the source's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tlvcli.core.graph import Layer
from tlvcli.core.tensors import TensorSource

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class LinearStatistics:
    """Mean over layers of the weights' mean, and of their standard deviation (unbiased)."""

    mean: float
    std: float

    def divided(self, count: int) -> LinearStatistics:
        """Return both numbers divided by `count`."""
        return LinearStatistics(self.mean / count, self.std / count)


def cumulative_statistics(source: TensorSource, layers: Sequence[Layer]) -> LinearStatistics:
    """Return the statistics of `layers`, each weighing the same whatever its size, in float32 as published."""
    means, stds = torch.zeros(len(layers)), torch.zeros(len(layers))
    for index, layer in enumerate(layers):
        weight = layer.find("weight")
        assert weight is not None
        values: Tensor = source.read(weight.name).float()
        means[index], stds[index] = values.mean(), values.std()
    return LinearStatistics(float(means.mean()), float(stds.mean()))

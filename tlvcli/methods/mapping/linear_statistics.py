"""Cumulative statistics (TLV): target linear layers drawn from the mean and spread of the source's.

Attention's projections of query, key and value, which torch packs into one tensor, are a linear layer like any other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tlvcli.core.graph import Layer, ModelGraph, TensorSpec
from tlvcli.core.plan import PlanRow
from tlvcli.core.tensors import TensorSource

if TYPE_CHECKING:
    from torch import Tensor


_PROJECTIONS = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")


@dataclass(frozen=True)
class LinearStatistics:
    """Mean over layers of the weights' mean, and of their standard deviation (unbiased)."""

    mean: float
    std: float

    @property
    def is_finite(self) -> bool:
        """False for statistics of nothing, or of weights that are not finite."""
        return math.isfinite(self.mean) and math.isfinite(self.std)

    def divided(self, count: int) -> LinearStatistics:
        """Return both numbers divided by `count`."""
        return LinearStatistics(self.mean / count, self.std / count)


def linear_weights(graph: ModelGraph) -> tuple[TensorSpec, ...]:
    """Return the weights [out, in] of linear layers, and attention's projections."""
    return _linear_tensors(graph, "weight", _PROJECTIONS)


def linear_biases(graph: ModelGraph) -> tuple[TensorSpec, ...]:
    """Return what is added [out] after `linear_weights`."""
    return _linear_tensors(graph, "bias", ("in_proj_bias",))


def _linear_tensors(graph: ModelGraph, suffix: str, packed: Sequence[str]) -> tuple[TensorSpec, ...]:
    def is_wanted(layer: Layer, tensor: TensorSpec) -> bool:
        return tensor.suffix == suffix if layer.kind == "linear" else tensor.suffix in packed

    return tuple(tensor for layer in graph.layers for tensor in layer.tensors if is_wanted(layer, tensor))


def cumulative_statistics(source: TensorSource, weights: Sequence[TensorSpec]) -> LinearStatistics:
    """Return the statistics of `weights`, each weighing the same whatever its size, in float32 as published.

    A weight needs two elements or more to have a spread.
    """
    means, stds = torch.zeros(len(weights)), torch.zeros(len(weights))
    for index, weight in enumerate(weights):
        values: Tensor = source.read(weight.name).float()
        means[index], stds[index] = values.mean(), values.std()
    return LinearStatistics(float(means.mean()), float(stds.mean()))


def zero_bias(bias: TensorSpec) -> PlanRow:
    """Return the row of a bias beside a weight that is drawn from statistics."""
    return PlanRow(
        tensor=bias.name,
        shape=bias.shape,
        source=None,
        operation="constant",
        parameters={"value": 0.0},
        transferred=0.0,
        reason="zero beside a weight drawn from statistics",
    )

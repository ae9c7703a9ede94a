"""Solutions of one layer: its penalty, its weights, and the best of the channels that may stand in its place."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tlvcli.methods.fitting.hidden import choose_hidden
from tlvcli.methods.fitting.normal import Moments, choose_ridge, equations
from tlvcli.methods.fitting.patches import Fittable, compute, kernel_of, maps_of
from tlvcli.methods.fitting.streams import Pairs, Places, sum_halves

if TYPE_CHECKING:
    from torch import Tensor

# While channels are chosen; what they are fitted with afterwards has a penalty of its own.
_RIDGE_OF_CHOICE = 1e-3
Samples = Callable[[], Iterable[tuple["Tensor", "Tensor", "Tensor | None"]]]


@dataclass(frozen=True, eq=False)
class Solution:
    """Weights [groups, in + 1, out of a group], the sums they come from, and the penalty; see `Equations`."""

    weights: Tensor
    moments: Moments
    ridge: float
    is_raised: bool = False

    @property
    def bias(self) -> Tensor:
        """The intercepts [out]."""
        return self.weights[:, -1].flatten()

    def mean(self) -> Tensor:
        """Return the mean of each output [out] without its intercept."""
        return (self.moments.mean()[:, :, None] * self.weights[:, :-1]).sum(1).flatten()

    def variance(self) -> Tensor:
        """Return the variance of each output [out]."""
        weights = self.weights[:, :-1]
        return (weights * (self.moments.covariance() @ weights)).sum(1).flatten().clamp_min(0)


def solve(halves: tuple[Moments, Moments], ridge: float | str, *, intercept: bool) -> Solution:
    """Return the solution of ridge regression; `auto` chooses the penalty."""
    moments = halves[0] + halves[1]
    has_both = all(half.num_samples > 1 for half in halves)
    if isinstance(ridge, str):
        ridge = choose_ridge(halves, intercept=intercept) if has_both else _RIDGE_OF_CHOICE
    found = equations(moments, ridge, intercept=intercept)
    return Solution(found.solve(moments.cross), moments, ridge, found.is_raised)


def computed(layer: Fittable, solution: Solution, read: Tensor) -> Tensor:
    """Return the maps [n, out, places] that the layer computes with a solution."""
    kernel = kernel_of(layer, solution.weights)
    return maps_of(layer, compute(layer, kernel, solution.bias.to(kernel.dtype), read))


def choose_inner(layer: Fittable, every: Solution, reader: Fittable, samples: Samples, places: Places) -> Solution:
    """Return an inner layer's solution for the best of the candidate channels.

    `every` has all candidates, each fitted to a channel of the source behind which a ReLU stands; those stay that
    serve the reader best. `samples` are what the inner layer reads, what the reader is to put out, and what is added.
    """
    if len(layer.weight) == every.weights.shape[2]:
        return every
    first, second = sum_halves(reader, behind(layer, every, samples), places)
    chosen = choose_hidden(first + second, reader.weight[0, 0].numel(), len(layer.weight), _RIDGE_OF_CHOICE)
    moments = Moments(every.moments.gram, every.moments.cross[:, :, chosen], every.moments.squares[:, chosen])
    return Solution(every.weights[:, :, chosen], moments, every.ridge, every.is_raised)


def behind(layer: Fittable, solution: Solution, samples: Samples) -> Pairs:
    """Return what the reader of a fitted inner layer reads, with what it is to put out."""

    def iterate() -> Iterable[tuple[Tensor, Tensor]]:
        for read, wanted in to_fit(samples)():
            yield activated(layer, solution, read), wanted

    return iterate


def activated(layer: Fittable, solution: Solution, read: Tensor) -> Tensor:
    """Return what stands behind a fitted inner layer and its ReLU, in the layer's own layout."""
    kernel = kernel_of(layer, solution.weights)
    return torch.relu(compute(layer, kernel, solution.bias.to(kernel.dtype), read))


def to_fit(samples: Samples) -> Pairs:
    """Return what a layer reads, with what it is to put out itself: less what is added to it."""

    def iterate() -> Iterable[tuple[Tensor, Tensor]]:
        for read, wanted, other in samples():
            yield read, wanted if other is None else wanted - other

    return iterate

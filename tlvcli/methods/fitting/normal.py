"""Ridge regression from streamed sums: the normal equations, added up over batches and solved once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

# Penalties that `choose_ridge` tries.
RIDGES = (1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2, 1e-1, 3e-1, 1.0)
# Columns of a gram that are multiplied at a time: of what is symmetric, little more than half.
_PANEL = 128
# In front of all penalties: what keeps equations solvable whose inputs are constant.
_FLOOR = 1e-9
# Of the mean square of inputs: what is lost in products of single precision, and how often ten times as much is tried.
_INEXACT, _MOST_RAISES = 1e-7, 7


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over samples in float64, of inputs with a one behind them: their size knows channels, not images.

    Args:
        gram: inputs with inputs [groups, in + 1, in + 1].
        cross: inputs with outputs [groups, in + 1, out of a group].
        squares: outputs with themselves [groups, out of a group].
    """

    gram: Tensor
    cross: Tensor
    squares: Tensor

    def __add__(self, other: Moments) -> Moments:
        """Return the sums over both sets of samples."""
        return Moments(self.gram + other.gram, self.cross + other.cross, self.squares + other.squares)

    @property
    def num_samples(self) -> int:
        """Number of samples that were added up."""
        return round(float(self.gram[0, -1, -1]))

    def covariance(self) -> Tensor:
        """Return the inputs' covariance [groups, in, in]."""
        mean = self.mean()
        return self.gram[:, :-1, :-1] / self.num_samples - mean[:, :, None] * mean[:, None, :]

    def mean(self) -> Tensor:
        """Return the inputs' mean [groups, in]."""
        return self.gram[:, :-1, -1] / self.num_samples

    def variation(self) -> Tensor:
        """Return the sum of squared deviations of each output from its mean [groups, out of a group]."""
        return self.squares - self.cross[:, -1].square() / self.num_samples


def add_samples(sums: Moments | None, inputs: Tensor, outputs: Tensor) -> Moments:
    """Return the sums with one batch more: inputs [groups, in + 1, n], ones at the end, and outputs [groups, n, out].

    Products are in the precision of the values, sums over batches in float64. `sums` are used up: their memory is the
    result's.
    """
    if sums is None:
        return Moments(_gram(inputs).double(), (inputs @ outputs).double(), outputs.double().square().sum(1))
    return Moments(
        sums.gram.add_(_gram(inputs)),
        sums.cross.add_(inputs @ outputs),
        sums.squares.add_(outputs.double().square().sum(1)),
    )


def _gram(inputs: Tensor) -> Tensor:
    """Return inputs [groups, in + 1, n] with inputs, below the diagonal by multiplication and above it by mirroring."""
    groups, size, _ = inputs.shape
    gram = inputs.new_empty(groups, size, size)
    for start in range(0, size, _PANEL):
        end = min(start + _PANEL, size)
        panel = inputs[:, start:] @ inputs[:, start:end].mT
        gram[:, start:, start:end] = panel
        gram[:, start:end, end:] = panel[:, end - start :].mT
    return gram


def no_moments(like: Moments) -> Moments:
    """Return the sums over no samples."""
    return Moments(*(torch.zeros_like(part) for part in (like.gram, like.cross, like.squares)))


@dataclass(frozen=True, eq=False)
class Equations:
    """The factorised left side [groups, in + 1, in + 1], and the penalty of each weight [groups, in + 1, 1].

    `is_raised` says that the penalty had to be raised for them to have a solution.
    """

    factor: Tensor
    penalty: Tensor
    is_raised: bool = False

    def solve(self, right: Tensor) -> Tensor:
        """Return the weights [groups, in + 1, out] for right sides of that shape."""
        return torch.cholesky_solve(right, self.factor)


def equations(moments: Moments, ridge: float, *, intercept: bool) -> Equations:
    """Return the equations; `ridge` counts in mean variances of the inputs, and no penalty lies on the intercept.

    Without `intercept`, the ones are penalised out of the solution. Where inputs vary less than their products are
    exact, the penalty is raised tenfold until there is a solution.
    """
    variances = moments.covariance().diagonal(dim1=1, dim2=2).mean(1)  # [groups]
    floor = _FLOOR * float(variances.max()) or 1.0
    penalty = moments.num_samples * (ridge * variances + floor)[:, None].expand(moments.gram.shape[:2]).clone()
    penalty[:, -1] = 0.0 if intercept else 1e12 * float(moments.gram.diagonal(dim1=1, dim2=2).max())
    factor, info = torch.linalg.cholesky_ex(moments.gram + torch.diag_embed(penalty))
    if not bool(info.any()):
        return Equations(factor, penalty[:, :, None])
    squares = moments.gram.diagonal(dim1=1, dim2=2)[:, :-1].mean(1, keepdim=True)
    for raised in (_INEXACT * 10**power for power in range(_MOST_RAISES)):
        more = torch.cat([penalty[:, :-1] + raised * squares, penalty[:, -1:]], 1)
        factor, info = torch.linalg.cholesky_ex(moments.gram + torch.diag_embed(more))
        if not bool(info.any()):
            break
    assert not bool(info.any())
    return Equations(factor, more[:, :, None], is_raised=True)


def squared_error(moments: Moments, weights: Tensor) -> Tensor:
    """Return the sum of squared errors [groups, out] that weights [groups, in + 1, out] make on these samples."""
    explained = (weights * (moments.gram @ weights - 2 * moments.cross)).sum(1)
    return moments.squares + explained


def choose_ridge(halves: tuple[Moments, Moments], *, intercept: bool) -> float:
    """Return half of the one of `RIDGES` that predicts each half of the samples best from the other.

    Half, for all samples are twice as many, and need half the penalty on each.
    """

    def error_at(ridge: float) -> float:
        total = 0.0
        for known, unseen in (halves, halves[::-1]):
            weights = equations(known, ridge, intercept=intercept).solve(known.cross)
            total += float(squared_error(unseen, weights).sum())
        return total

    return min(RIDGES, key=error_at) / 2


def explained_share(moments: Moments, weights: Tensor) -> float:
    """Return R2 over all outputs: 1 minus squared errors over squared deviations; 1 where outputs are constant."""
    variation = float(moments.variation().sum())
    return 1.0 - float(squared_error(moments, weights).sum()) / variation if variation > 0 else 1.0

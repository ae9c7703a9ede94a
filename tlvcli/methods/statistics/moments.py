"""Means and central moments of many groups of values, exact enough to merge."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def row_moments(rows: Tensor, order: int, scratch: Tensor | None = None) -> Tensor:
    """Return mean and sums of powers of the deviations from it, [rows, order] as (mean, M2, ..., M_order).

    `scratch` of the rows' shape and type takes the deviations; it may be `rows`, which is then overwritten.
    """
    mean = rows.mean(-1, keepdim=True)
    deviations = torch.sub(rows, mean, out=scratch)
    if order == 2:
        # Summed by torch's cascade: a norm would be as fast, but adds up long rows to no better than 1e-5.
        return torch.stack([mean[:, 0], torch.square(deviations, out=scratch).sum(-1)], dim=-1)
    powers = [mean[:, 0]]
    squares = deviations.square()
    powers += [squares.sum(-1), (squares * deviations).sum(-1), squares.square().sum(-1)]
    return torch.stack(powers, dim=-1)


def pool_moments(counts: Tensor, moments: Tensor) -> Tensor:
    """Return the moments of all groups together, [..., order], of counts [g, (...)] and moments [g, ..., order].

    Pébay 2008: Formulas for Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical
    Moments; here for any number of groups at once.
    """
    weights = counts.reshape(*counts.shape, *[1] * (moments.dim() - 1 - counts.dim()))
    means, squares = moments[..., 0], moments[..., 1]
    # Relative to the first group, as means of deviations keep their digits.
    pivot = means[0]
    mean = pivot + (weights * (means - pivot)).sum(0) / weights.sum(0)
    shift = means - mean
    pooled = [mean, (squares + weights * shift**2).sum(0)]
    if moments.shape[-1] == 4:
        cubes, fourths = moments[..., 2], moments[..., 3]
        pooled.append((cubes + 3 * shift * squares + weights * shift**3).sum(0))
        pooled.append((fourths + 4 * shift * cubes + 6 * shift**2 * squares + weights * shift**4).sum(0))
    return torch.stack(pooled, dim=-1)


@dataclass(frozen=True)
class Shape:
    """Of distributions, per kernel: `std` divides by n; `skewness` and `kurtosis` (3 for a normal) are 0 at std 0."""

    mean: Tensor
    std: Tensor
    skewness: Tensor
    kurtosis: Tensor


def shape_of(count: Tensor, moments: Tensor) -> Shape:
    """Return what four moments [..., C, 4] of `count` values say, each [..., C]."""
    mean, squares, cubes, fourths = (moments / torch.cat([torch.ones_like(count).reshape(1), count.expand(3)])).unbind(
        -1
    )
    safe = torch.where(squares > 0, squares, 1)
    return Shape(
        mean=mean,
        std=squares.sqrt(),
        skewness=torch.where(squares > 0, cubes / safe**1.5, 0),
        kurtosis=torch.where(squares > 0, fourths / safe**2, 0),
    )

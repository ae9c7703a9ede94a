"""Welch's t-test on the images' channel means: an image, not a pixel, is one observation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tlvcli.core.config import Config
from tlvcli.methods.statistics.summary import LayerSummary


@dataclass(frozen=True)
class WelchTest:
    """Per kernel [C], target minus source: `t`, two-sided `p_values`, and Cohen's d (by the pooled spread of images).

    A kernel whose channel means have no spread in either set has t and d 0 and p 1 where the means agree; where they
    do not, the spread counts as 1e-12 of their difference.
    """

    t: Tensor
    p_values: Tensor
    cohens_d: Tensor


def welch_test(source: LayerSummary, target: LayerSummary) -> WelchTest:
    """Compare the channel means of the images of both sets (Welch 1947), without assuming equal variances."""
    from scipy.stats import t as student

    n, m = source.num_images, target.num_images
    gap, variance_n, variance_m = _gap_and_variances(source, target)
    part_n, part_m = variance_n / n, variance_m / m
    t = gap / (part_n + part_m).sqrt()
    freedom = (part_n + part_m) ** 2 / (part_n**2 / (n - 1) + part_m**2 / (m - 1))
    pooled = ((n - 1) * variance_n + (m - 1) * variance_m) / (n + m - 2)
    p_values = 2 * student.sf(t.abs().numpy(), freedom.numpy())
    return WelchTest(t, torch.from_numpy(p_values), gap / pooled.sqrt())


def welch_t(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return |t| per kernel, [..., C]."""
    gap, variance_n, variance_m = _gap_and_variances(source, target)
    return gap.abs() / (variance_n / source.num_images + variance_m / target.num_images).sqrt()


def _gap_and_variances(source: LayerSummary, target: LayerSummary) -> tuple[Tensor, Tensor, Tensor]:
    assert source.image_moments is not None
    assert target.image_moments is not None
    gap = target.image_moments[..., 0] - source.image_moments[..., 0]
    variances = [summary.image_moments[..., 1] / (summary.num_images - 1) for summary in (source, target)]  # type: ignore[index]
    # Only kernels without any spread are touched; 1e-100 keeps 0 / 0 out where there is no difference either.
    floor = (gap * 1e-12) ** 2 + 1e-100
    is_flat = variances[0] + variances[1] <= floor
    return gap, *(torch.where(is_flat, floor, variance) for variance in variances)  # type: ignore[return-value]

"""Divergence of the log-normal fits to two sets of activations, in closed form."""

from __future__ import annotations

import torch
from torch import Tensor

from tlvcli.core.config import Config
from tlvcli.methods.statistics.divergences import directed
from tlvcli.methods.statistics.summary import LayerSummary

# In nats; a kernel that is always 0 has no spread, yet two such kernels do not differ.
_SMALLEST_SPREAD = 1e-3


def lognormal_kl(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return KL between normal distributions of log(|a| + 1e-4), per kernel [..., C], in nats.

    KL(N(m1, s1) || N(m2, s2)) = ln(s2 / s1) + (s1^2 + (m1 - m2)^2) / (2 s2^2) - 1/2.
    """
    return directed(_divergence, _fit(source), _fit(target), options)


def _fit(summary: LayerSummary) -> Tensor:
    assert summary.log_moments is not None
    mean, squares = summary.log_moments[..., 0], summary.log_moments[..., 1]
    return torch.stack([mean, (squares / summary.count).clamp(min=_SMALLEST_SPREAD**2)])


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    (mean_p, variance_p), (mean_q, variance_q) = p, q
    ratio = variance_p / variance_q
    divergence: Tensor = (ratio - 1 - ratio.log() + (mean_p - mean_q) ** 2 / variance_q) / 2
    return divergence

"""Distances between histograms on common edges."""

from __future__ import annotations

import torch
from torch import Tensor

from tlvcli.core.config import Config
from tlvcli.methods.statistics.bins import ACTIVATION_BINS
from tlvcli.methods.statistics.divergences import directed
from tlvcli.methods.statistics.summary import LayerSummary

# Added to every column, so that an empty one does not make the divergence infinite (Jeffreys' prior).
_PSEUDO_COUNT = 0.5


def histogram_kl(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return KL between the histograms, [..., C], in nats; every column has half a count more."""
    return directed(
        _divergence, _shares(_histogram(source) + _PSEUDO_COUNT), _shares(_histogram(target) + _PSEUDO_COUNT), options
    )


def jensen_shannon(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return the Jensen-Shannon divergence of the histograms, [..., C], in nats, from 0 to ln 2 (Lin 1991)."""
    return _jensen_shannon(_shares(_histogram(source)), _shares(_histogram(target)))


def gram(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return the Jensen-Shannon divergence of the binned entries of the maps' Gram matrices, [..., C], in nats."""
    assert source.gram_histogram is not None
    assert target.gram_histogram is not None
    return _jensen_shannon(_shares(source.gram_histogram), _shares(target.gram_histogram))


def kolmogorov_smirnov(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return the largest difference of the distribution functions at the edges, [..., C], from 0 to 1."""
    return _distribution_gap(source, target).abs().amax(-1)


def wasserstein(source: LayerSummary, target: LayerSummary, options: Config) -> Tensor:
    """Return the first Wasserstein distance of log|a|, [..., C], in nats; see `Bins.positions`."""
    steps = ACTIVATION_BINS.positions().diff()
    return (_distribution_gap(source, target)[..., :-1].abs() * steps).sum(-1)


def _histogram(summary: LayerSummary) -> Tensor:
    assert summary.histogram is not None
    return summary.histogram


def _shares(counts: Tensor) -> Tensor:
    return counts / counts.sum(-1, keepdim=True)


def _distribution_gap(source: LayerSummary, target: LayerSummary) -> Tensor:
    return _shares(_histogram(source)).cumsum(-1) - _shares(_histogram(target)).cumsum(-1)


def _divergence(p: Tensor, q: Tensor) -> Tensor:
    return torch.xlogy(p, p / q).sum(-1)


def _jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    middle = ((p + q) / 2).clamp(min=torch.finfo(p.dtype).tiny)
    # Rounding may leave a little less than nothing.
    return ((_divergence(p, middle) + _divergence(q, middle)) / 2).clamp(min=0)

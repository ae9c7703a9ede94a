"""Layer-sequential unit variance: weights scaled in forward order until what they put out has variance 1.

Mishkin & Matas 2016: All you need is a good init, algorithm 1, without its orthonormal start: the weights are what the
mapping has made of them.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from tlvcli.methods.adaptation.moments import ChannelMoments, channel_moments, pooled
from tlvcli.methods.adaptation.passes import Batches, run_pass


def output_moments(module: nn.Module, names: Collection[str], batches: Batches) -> dict[str, ChannelMoments]:
    """Return the moments of what the named layers put out, in the order in which the network calls them."""
    found: dict[str, ChannelMoments] = {}

    def note(name: str, layer: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
        found[name] = pooled(found.get(name), channel_moments(output, _channel_dim(layer, output), name))

    run_pass(module, batches(), leave={name: partial(note, name) for name in names})
    return found


def unit_factors(module: nn.Module, wanted: Mapping[str, float], images: Tensor) -> dict[str, float]:
    """Return for each layer the factor of its weight with which its output over `images` has the std `wanted`.

    One pass: once a layer has its factor, its output goes on as it is going to be. A layer whose output does not vary
    has none; of several calls of a layer, or several names of a weight, the first one counts.
    """
    by_weight: dict[Tensor, float | None] = {}

    def correct(name: str, layer: nn.Module, _args: tuple[Any, ...], output: Tensor) -> Tensor | None:
        dim, parameters = _channel_dim(layer, output), dict(layer.named_parameters(recurse=False))
        weight, bias = parameters["weight"], parameters.get("bias")
        own = torch.zeros(output.shape[dim], device=output.device) if bias is None else bias.detach()
        if weight not in by_weight:
            by_weight[weight] = _factor(channel_moments(output, dim, name), own.double(), wanted[name])
        factor = by_weight[weight]
        if factor is None:
            return None
        return output * factor + (own * (1 - factor)).view([-1 if d == dim else 1 for d in range(output.dim())])

    run_pass(module, [images], leave={name: partial(correct, name) for name in wanted})
    factors = {name: by_weight.get(module.get_parameter(f"{name}.weight")) for name in wanted}
    return {name: factor for name, factor in factors.items() if factor is not None}


def _factor(output: ChannelMoments, bias: Tensor, wanted: float) -> float | None:
    """Return k such that k W x + bias has the std `wanted` over all channels; None where W x is constant.

    With u = W x: k^2 var(u) + 2 k cov(u, bias) + var(bias) = wanted^2. Where the bias alone varies by
    more than that, k W x gets the std.
    """
    if bool(output.is_constant.all()):
        return None
    means = output.mean - bias
    variance = float(output.variance.mean() + means.var(correction=0))
    shared = float(((means - means.mean()) * (bias - bias.mean())).mean())
    rest = float(bias.var(correction=0)) - wanted**2
    root = shared**2 - variance * rest
    factor = (math.sqrt(root) - shared) / variance if root >= 0 else 0.0
    return factor if factor > 0 else wanted / math.sqrt(variance)


def _channel_dim(layer: nn.Module, output: Tensor) -> int:
    return output.dim() - 1 if isinstance(layer, nn.Linear) else 1

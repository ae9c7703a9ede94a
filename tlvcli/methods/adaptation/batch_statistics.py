"""Running statistics of batch normalisation, re-estimated over all images: sums, no moving average."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlvcli.methods.adaptation.moments import ChannelMoments, channel_moments, pooled
from tlvcli.methods.adaptation.passes import Batches, run_pass


def running_norms(module: nn.Module) -> dict[str, _BatchNorm]:
    """Return the batch normalisations that keep running statistics, in the network's order."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, _BatchNorm) and layer.running_mean is not None
    }


@contextmanager
def normalised_by_batch(norms: Mapping[str, _BatchNorm]) -> Iterator[None]:
    """Inside, these normalise by the batch at hand, and their running statistics stay as they are."""
    before = {name: (norm.training, norm.momentum, norm.num_batches_tracked) for name, norm in norms.items()}
    for norm in norms.values():
        norm.training, norm.momentum, norm.num_batches_tracked = True, 0.0, None
    try:
        yield
    finally:
        for name, norm in norms.items():
            norm.training, norm.momentum, norm.num_batches_tracked = before[name]


def estimate_statistics(
    module: nn.Module, norms: Mapping[str, _BatchNorm], batches: Batches
) -> dict[str, ChannelMoments]:
    """Write into `norms` of `module`, our own copy, the mean and variance of their inputs over all images.

    In one pass, in which every batch is normalised by itself on its way: exact where one batch holds all images, else
    as exact as a batch is a fair sample. (A second pass with what the first one found would mend the first layers and
    spoil the deepest, which get what all layers before them have changed.) Variances have the divisor n, so that
    evaluation computes what the pass has seen. A channel that is constant keeps what it has, lest it divide by zero.

    Returns:
        The moments of what each of `norms` read; one that is never called is missing.
    """
    found: dict[str, ChannelMoments] = {}

    def note(name: str, _layer: nn.Module, args: tuple[Any, ...]) -> None:
        found[name] = pooled(found.get(name), channel_moments(args[0], 1, name))

    with normalised_by_batch(norms):
        run_pass(module, batches(), enter={name: partial(note, name) for name in norms})
    for name, moments in found.items():
        mean, variance = norms[name].get_buffer("running_mean"), norms[name].get_buffer("running_var")
        varies = ~moments.is_constant
        mean.copy_(moments.mean.to(mean.dtype).where(varies, mean))
        variance.copy_(moments.variance.to(variance.dtype).where(varies, variance))
    return found

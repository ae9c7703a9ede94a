"""Calibration: outputs to unit variance, then batch statistics of the network as it has become."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from copy import deepcopy

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from tlvcli.core.wording import counted
from tlvcli.methods.adaptation.batch_statistics import estimate_statistics, normalised_by_batch, running_norms
from tlvcli.methods.adaptation.moments import ChannelMoments
from tlvcli.methods.adaptation.options import CalibrateOptions
from tlvcli.methods.adaptation.outcome import Adaptation, AdaptedLayer
from tlvcli.methods.adaptation.passes import Batches
from tlvcli.methods.adaptation.scalable import weighted_layers
from tlvcli.methods.adaptation.unit_variance import output_moments, unit_factors

# Standard deviations this near 1 are not corrected again.
_CLOSE = 0.01


def calibrate(module: nn.Module, batches: Batches, *, left: Mapping[str, str], options: CalibrateOptions) -> Adaptation:
    """Scale weights to unit variance of their outputs, then re-estimate batch statistics, as the options say.

    Args:
        module: the target in evaluation mode; not written to.
        batches: the images, normalised [n, channels, h, w], on the module's device; each batch a fair sample.
        left: layers that stay as they are, and why.
        options: which of the two.

    Raises:
        TlvError: `activations-not-finite`, naming the layer.
    """
    work = deepcopy(module)
    norms = running_norms(work) if options.batch_statistics else {}
    norms = {name: norm for name, norm in norms.items() if name not in left}
    scaled = [name for name in weighted_layers(work) if name not in left] if options.unit_variance else []
    before, factors = _scale(work, scaled, norms, batches) if scaled else ({}, {})
    read = estimate_statistics(work, norms, batches) if norms else {}
    after = _output_stds(work, factors, batches)
    layers: list[AdaptedLayer] = []
    if options.unit_variance:
        layers += _scaled_layers(work, before, after, factors, left)
    if options.batch_statistics:
        layers += _estimated_layers(module, work, read, left)
    old, new = module.state_dict(), work.state_dict()
    state = {name: tensor for name, tensor in new.items() if not torch.equal(tensor, old[name])}
    return Adaptation(state, tuple(layers), tuple(_warnings(module, options, read)))


def _scale(
    work: nn.Module, names: list[str], norms: Mapping[str, _BatchNorm], batches: Batches
) -> tuple[dict[str, float], dict[str, float]]:
    """Scale the weights of `work`; return what the std of the outputs was, and by how much each weight was scaled.

    The factors are found on the first batch. Where there are more, all of them then show by how much the first one is
    mistaken about each layer, and the factors are found again with that put right.
    """
    with normalised_by_batch(norms):
        before = _output_stds(work, names, batches)
        first = next(iter(batches()))
        factors = unit_factors(work, dict.fromkeys(names, 1.0), first)
        _multiply(work, factors)
        on_all = _output_stds(work, factors, batches)
        if any(abs(std - 1.0) > _CLOSE for std in on_all.values()):
            on_first = _output_stds(work, factors, lambda: [first])
            again = unit_factors(work, {name: on_first[name] / on_all[name] for name in factors}, first)
            _multiply(work, again)
            factors = {name: factor * again.get(name, 1.0) for name, factor in factors.items()}
    return before, factors


def _output_stds(module: nn.Module, names: Collection[str], batches: Batches) -> dict[str, float]:
    return {name: found.std for name, found in output_moments(module, names, batches).items()} if names else {}


@torch.no_grad()
def _multiply(work: nn.Module, factors: Mapping[str, float]) -> None:
    # By identity: a weight under two names is scaled once.
    by_weight = {work.get_parameter(f"{name}.weight"): factor for name, factor in factors.items()}
    for weight, factor in by_weight.items():
        weight.mul_(factor)


def _scaled_layers(
    work: nn.Module,
    before: Mapping[str, float],
    after: Mapping[str, float],
    factors: Mapping[str, float],
    left: Mapping[str, str],
) -> Iterator[AdaptedLayer]:
    for name in weighted_layers(work):
        if name in factors:
            note = f"weight times {factors[name]:.3g}"
            yield AdaptedLayer(name, "output std", before[name], after[name], note)
        else:
            why = left.get(name, "its output is the same everywhere")
            yield AdaptedLayer(name, "output std", None, None, why)


def _estimated_layers(
    module: nn.Module, work: nn.Module, read: Mapping[str, ChannelMoments], left: Mapping[str, str]
) -> Iterator[AdaptedLayer]:
    old, new = running_norms(module), running_norms(work)
    for name in old:
        if name in read:
            before, after = _running_std(old[name]), _running_std(new[name])
            yield AdaptedLayer(name, "running std", before, after, _moved(old[name], new[name], read[name]))
        else:
            why = left.get(name, "never called in evaluation")
            yield AdaptedLayer(name, "running std", None, None, why)


def _running_std(norm: _BatchNorm) -> float:
    return math.sqrt(float(norm.get_buffer("running_var").double().mean()))


def _moved(old: _BatchNorm, new: _BatchNorm, found: ChannelMoments) -> str:
    std = found.variance.sqrt().where(~found.is_constant, 1.0)
    moves = (new.get_buffer("running_mean").double() - old.get_buffer("running_mean").double()) / std
    number = int(found.is_constant.sum())
    said = f"; left {number} of {len(std)} channels, which are constant" if number else ""
    return f"means moved by {float(moves.square().mean().sqrt()):.2g} std{said}"


def _warnings(module: nn.Module, options: CalibrateOptions, read: Mapping[str, ChannelMoments]) -> Iterator[str]:
    if options.batch_statistics and not running_norms(module):
        yield "calibrate: the target has no batch normalisation, so no statistics to re-estimate"
    constant = sum(int(found.is_constant.sum()) for found in read.values())
    if constant:
        yield f"calibrate: constant over the images, so their batch statistics stay: {counted(constant, 'channel')}"

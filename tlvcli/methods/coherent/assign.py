"""One index map for each group of channels: which source channel every target channel is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.channel_map import NONE, positions_by_blocks
from tlvcli.methods.matching.names import evenly_spaced


def assign_origins(
    target: ChannelGroups,
    source: ChannelGroups,
    names: Mapping[str, str],
    scores: Tensor | None,
    held_back: Tensor | None = None,
) -> Tensor:
    """Return for every target channel [num_channels] the source channel it takes, or NONE.

    A channel is assigned where the first of the tensors in `names` (target to source, in order) has it; channels
    that a concatenation or a padded shortcut has brought along keep theirs, and only the new ones share what is new
    in the source. `scores` [source channels] choose the channels of a narrower target; without, evenly spaced ones.
    Channels that are `held_back` have an origin only if one of the tensors writes them.
    """
    origin = torch.full((target.num_channels,), NONE)
    taken = torch.zeros(source.num_channels, dtype=torch.bool)
    if len(target.inputs) == len(source.inputs):
        origin[target.inputs] = source.inputs
        taken[source.inputs] = True
    for name, dim in _dimensions(target, names):
        axis, source_axis = target.axes[name][dim], source.axes[names[name]][dim]
        if axis is None or source_axis is None or axis.dim() > 1 or source_axis.dim() > 1:
            continue
        free, new = origin[axis] == NONE, ~taken[source_axis]
        if held_back is not None and (dim > 0 or len(target.axes[name]) == 1):
            free &= ~torch.isin(axis, held_back)
        if not bool(free.any()):
            taken[source_axis] = True
            continue
        if bool(free.all()) or not bool(new.any()):
            positions = _positions(axis, source_axis, target, source, scores)
            origin[axis[free]] = source_axis[positions[free]]
        else:
            wanted, have = axis[free], source_axis[new]
            origin[wanted] = have[choose(len(have), len(wanted), None if scores is None else scores[have])]
        taken[source_axis] = True
    return origin


def choose(num_source: int, num_target: int, scores: Tensor | None) -> Tensor:
    """Return source positions [num_target], ascending.

    Each copied as often as any other, copies side by side, where the target is wider, so that whatever lies in the
    middle of the source lies there still; those of the largest scores [num_source], or evenly spaced, where not.
    """
    if num_target >= num_source:
        return torch.arange(num_target) * num_source // num_target
    if scores is None:
        return evenly_spaced(num_source, num_target)
    return scores.argsort(descending=True, stable=True)[:num_target].sort().values


def score_channels(source: TensorSource, groups: ChannelGroups) -> Tensor:
    """Return for every source channel [num_channels] the variance of the last filter that writes it."""
    scores = torch.zeros(groups.num_channels)
    for layer, site in groups.sites.items():
        name = f"{layer}.weight".lstrip(".")
        axes = groups.axes.get(name, ())
        # A depthwise filter and a gate say how a channel is treated, not what it is.
        if len(axes) < 2 or axes[0] is None or site.size == (1, 1) or (axes[1] is not None and axes[1].shape[-1] == 1):
            continue
        scores[axes[0]] = source.read(name).float().flatten(1).var(1, correction=0)
    return scores


def _positions(
    axis: Tensor, source_axis: Tensor, target: ChannelGroups, source: ChannelGroups, scores: Tensor | None
) -> Tensor:
    def rule(num_source: int, num_target: int) -> Tensor:
        is_whole = scores is not None and num_source == len(source_axis)
        return choose(num_source, num_target, scores[source_axis] if scores is not None and is_whole else None)

    return positions_by_blocks(axis, source_axis, target, source, rule)


def _dimensions(target: ChannelGroups, names: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Yield (tensor, dimension): what layers write before what they read, which may be a rearrangement of it."""
    weights = [name for name in names if len(target.axes[name]) > 1]
    yield from ((name, 0) for name in weights)
    yield from ((name, 0) for name in names if len(target.axes[name]) == 1)
    yield from ((name, dim) for name in weights for dim in range(1, len(target.axes[name])))

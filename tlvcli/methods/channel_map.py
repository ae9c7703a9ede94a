"""Which source channel every target channel is: assigned once, then looked up in every tensor."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups

NONE = -1  # a target channel without a source channel

Rule = Callable[[int, int], Tensor]  # sizes of source and target -> the source position [target size] of each


def assign_channels(
    target: ChannelGroups,
    source: ChannelGroups,
    names: Mapping[str, str],
    rule: Callable[[str], Rule],
    *,
    unwritten: bool,
) -> Tensor:
    """Return for every target channel [num_channels] the source channel it takes, or NONE.

    A channel is assigned where a layer writes it first, by the `rule` for that tensor; `names` gives the source
    tensor of each target tensor, in the order of the target. With `unwritten`, so is what no matched layer writes:
    heads and offsets in a table, or what an operation that is not understood has computed.
    """
    origin = torch.full((target.num_channels,), NONE)
    if len(target.inputs) == len(source.inputs):
        origin[target.inputs] = source.inputs
    for name, dim in _dimensions(target, names, unwritten=unwritten):
        axis, source_axis = target.axes[name][dim], source.axes[names[name]][dim]
        if axis is None or source_axis is None or axis.dim() > 1 or source_axis.dim() > 1:
            continue
        free = origin[axis] < 0
        if bool(free.any()):
            positions = positions_by_blocks(axis, source_axis, target, source, rule(name))
            origin[axis[free]] = source_axis[positions[free]]
    return origin


def _dimensions(target: ChannelGroups, names: Mapping[str, str], *, unwritten: bool) -> Iterator[tuple[str, int]]:
    """Yield (tensor, dimension): outputs of weights first, since what others hold may be a rearrangement of them."""
    weights = [name for name in names if len(target.axes[name]) > 1]
    yield from ((name, 0) for name in weights)
    if unwritten:
        yield from ((name, 0) for name in names if len(target.axes[name]) == 1)
        yield from ((name, dim) for name in weights for dim in range(1, len(target.axes[name])))


def tensors_with(channels: Tensor, groups: ChannelGroups) -> frozenset[str]:
    """Return the tensors whose first dimension has any of these channels: those that write them."""
    return frozenset(
        name
        for name, axes in groups.axes.items()
        if axes and axes[0] is not None and bool(torch.isin(axes[0], channels).any())
    )


def positions_by_blocks(
    axis: Tensor, source_axis: Tensor, target: ChannelGroups, source: ChannelGroups, rule: Rule
) -> Tensor:
    """Return the source position [size] of every target position: whole blocks, and within a block, by the rule."""
    runs, source_runs = _runs(axis, target), _runs(source_axis, source)
    if len(runs) != len(source_runs):
        return rule(len(source_axis), len(axis))
    parts, start = [], 0
    for (blocks, size), (source_blocks, source_size) in zip(runs, source_runs, strict=True):
        block, within = rule(source_blocks, blocks), rule(source_size, size)
        parts.append((start + block[:, None] * source_size + within).flatten())
        start += source_blocks * source_size
    return torch.cat(parts)


def _runs(axis: Tensor, groups: ChannelGroups) -> list[tuple[int, int]]:
    """Return (blocks, in a block) along a dimension, in order; (1, size) where channels stand for themselves."""
    by_first = {int(blocks[0, 0]): blocks for blocks in groups.blocks}
    runs: list[tuple[int, int]] = []
    position, plain = 0, 0
    channels = axis.tolist()
    while position < len(channels):
        blocks = by_first.get(channels[position])
        if blocks is None or not torch.equal(axis[position : position + blocks.numel()], blocks.flatten()):
            position, plain = position + 1, plain + 1
            continue
        runs += [(1, plain)] if plain else []
        runs.append((blocks.shape[0], blocks.shape[1]))
        position, plain = position + blocks.numel(), 0
    return [*runs, (1, plain)] if plain else runs


def positions_of(axis: Tensor, source_axis: Tensor, origin: Tensor) -> Tensor:
    """Return where the source's dimension has the channels of the target's [size], or NONE.

    A channel that stands several times, as after flattening, is found in the same order.
    """
    nth, source_nth = _occurrence(axis), _occurrence(source_axis)
    most = int(max(nth.max(), source_nth.max())) + 1
    wanted, known = origin[axis] * most + nth, source_axis * most + source_nth
    order = known.argsort()
    place = torch.searchsorted(known[order], wanted).clamp_max(len(known) - 1)
    found = order[place]
    return found.where((known[found] == wanted) & (origin[axis] >= 0), torch.tensor(NONE))


def _occurrence(axis: Tensor) -> Tensor:
    """Return for every position how many positions before it have the same channel."""
    order = axis.argsort(stable=True)
    ranks = torch.arange(len(axis)) - torch.searchsorted(axis[order], axis[order])
    return torch.empty_like(axis).index_copy(0, order, ranks)


def positions_in_groups(axes: Tensor, source_axes: Tensor, outputs: Tensor, num_outputs: int, origin: Tensor) -> Tensor:
    """Return the one map [size] from what each target group reads to what its source group reads, or NONE throughout.

    Args:
        axes: channels [groups, size] that the target's groups read.
        source_axes: the same of the source [groups, size].
        outputs: source position of each target output [out].
        num_outputs: outputs of the source.
        origin: source channel of every target channel.
    """
    groups, size = axes.shape
    group_of_output = outputs.div(num_outputs // source_axes.shape[0], rounding_mode="floor").view(groups, -1)
    nothing = torch.full((size,), NONE)
    if bool((outputs < 0).any()) or bool((group_of_output != group_of_output[:, :1]).any()):
        return nothing
    same = origin[axes][:, :, None] == source_axes[group_of_output[:, 0]][:, None, :]  # [groups, size, source size]
    if not bool(same[0].any(1).all()) or bool((same != same[0]).any()):
        return nothing
    return same[0].int().argmax(1)

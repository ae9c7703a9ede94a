"""Blocks of a network, found in the way of its channels: between two of them all that is known lies in one place.

A block begins where a layer reads everything that is still needed. Residual branches, inception modules and dense
layers are blocks, and so is a convolution in a chain. Pointwise and depthwise convolutions alone are half a block: they
go with the neighbour whose name is nearest, so that squeeze and expand, or expand, depthwise and project, are one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups

_WEIGHTED = ("convolution", "linear")


@dataclass(frozen=True, eq=False)
class Block:
    """Layers with weights in the order of the forward pass, and the channels that come in and go out.

    `reads` and `writes` are in the order in which the block's first layer and whatever follows the block read them.
    `shortcuts` are layers beside a residual branch. `stage` counts changes of the image's size before the block.
    """

    layers: tuple[str, ...]
    reads: Tensor
    writes: Tensor
    shortcuts: frozenset[str]
    is_residual: bool
    stage: int


def weight_of(layer: str) -> str:
    """Return the name of the layer's weight."""
    return f"{layer}.weight".lstrip(".")


def written(layer: str, groups: ChannelGroups) -> Tensor:
    """Return the channels [out] that a layer writes."""
    axis = groups.axes[weight_of(layer)][0]
    assert axis is not None
    return axis


def read(layer: str, groups: ChannelGroups) -> Tensor:
    """Return the channels [in] that a layer reads, group after group."""
    axis = groups.axes[weight_of(layer)][1]
    assert axis is not None
    return axis.flatten()


def num_groups(layer: str, groups: ChannelGroups) -> int:
    """Return the number of groups of a convolution."""
    axis = groups.axes[weight_of(layer)][1]
    assert axis is not None
    return axis.shape[0] if axis.dim() == 2 else 1


def is_depthwise(layer: str, groups: ChannelGroups) -> bool:
    """Return whether a layer treats every channel by itself."""
    return 1 < num_groups(layer, groups) == len(read(layer, groups))


def dense_layers(layers: Sequence[str], groups: ChannelGroups) -> list[str]:
    """Return the layers that mix channels."""
    return [layer for layer in layers if not is_depthwise(layer, groups)]


def find_blocks(groups: ChannelGroups, kernels: Mapping[str, Sequence[int]]) -> tuple[Block, ...]:
    """Return the blocks before the classifier, the stem first; `kernels` are height and width by layer."""
    layers, head = _body(groups)
    if not layers:
        return ()
    starts = _boundaries(layers, head, groups)
    pieces = [tuple(layers[start:end]) for start, end in zip(starts, [*starts[1:], len(layers)], strict=True)]
    pieces = _merge_halves(pieces, groups, kernels)
    ends = [_in_order(read(piece[0], groups)) for piece in pieces[1:]]
    ends.append(_in_order(read(head, groups)) if head else _in_order(written(layers[-1], groups)))
    blocks: list[Block] = []
    stage, size = 0, None
    for piece, writes in zip(pieces, ends, strict=True):
        now = next((groups.sites[layer].size for layer in reversed(piece) if groups.sites[layer].size), size)
        stage += size is not None and now != size
        size = now
        reads = _in_order(read(piece[0], groups))
        shortcuts = _shortcuts(piece, reads, groups, kernels)
        goes_on = any(bool(torch.isin(written(layer, groups), reads).any()) for layer in dense_layers(piece, groups))
        blocks.append(Block(piece, reads, writes, shortcuts, goes_on or bool(shortcuts), stage))
    return tuple(blocks)


def _body(groups: ChannelGroups) -> tuple[list[str], str | None]:
    """Return the layers before the classifier, without gates, and the classifier's first layer."""
    layers: list[str] = []
    head = None
    for name, site in groups.sites.items():
        axes = groups.axes.get(weight_of(name), ())
        if site.operation not in _WEIGHTED or len(axes) < 2 or axes[0] is None or axes[1] is None:
            continue
        if bool(torch.isin(axes[0], groups.outputs).any()):
            head = name
            break
        if site.size != (1, 1):
            layers.append(name)
    while layers and head and groups.sites[layers[-1]].operation == "linear":
        others = [written(name, groups) for name in layers[:-1]]
        if others and bool(torch.isin(written(layers[-1], groups), torch.cat(others)).any()):
            break  # it writes into a residual stream
        head = layers.pop()
    return layers, head


def _boundaries(layers: Sequence[str], head: str | None, groups: ChannelGroups) -> list[int]:
    needed = torch.zeros(groups.num_channels, dtype=torch.bool)
    if head is not None:
        needed[read(head, groups)] = True
    needed_at = []
    for layer in reversed(layers):
        needed[read(layer, groups)] = True
        needed_at.append(needed.clone())
    there = torch.zeros(groups.num_channels, dtype=torch.bool)
    starts = [0]
    for index, (layer, needed) in enumerate(zip(layers, reversed(needed_at), strict=True)):
        alive = there & needed
        alive[read(layer, groups)] = False
        if index and not bool(alive.any()):
            starts.append(index)
        there[written(layer, groups)] = True
    return starts


def _merge_halves(
    pieces: Sequence[tuple[str, ...]], groups: ChannelGroups, kernels: Mapping[str, Sequence[int]]
) -> list[tuple[str, ...]]:
    merged: list[tuple[str, ...]] = [pieces[0]]
    waiting: tuple[str, ...] = ()
    for index, piece in enumerate(pieces[1:], 1):
        whole = (*waiting, *piece)
        after = pieces[index + 1] if index + 1 < len(pieces) else None
        waiting = ()
        if _is_whole(whole, groups, kernels):
            merged.append(whole)
        elif after is not None and _nearness(whole, after) >= _nearness(merged[-1], whole):
            waiting = whole
        elif len(merged) > 1:
            merged[-1] = (*merged[-1], *whole)
        else:
            merged.append(whole)  # the stem stands alone
    return merged


def _is_whole(piece: Sequence[str], groups: ChannelGroups, kernels: Mapping[str, Sequence[int]]) -> bool:
    """Return whether a piece looks at its surroundings, and mixes channels."""
    return any(max(kernels[layer]) > 1 for layer in piece) and bool(dense_layers(piece, groups))


def _nearness(first: Sequence[str], second: Sequence[str]) -> int:
    """Return how many modules two neighbours have in common."""
    names = zip(first[-1].split("."), second[0].split("."), strict=False)
    return sum(1 for _ in takewhile(lambda parts: parts[0] == parts[1], names))


def _shortcuts(
    piece: Sequence[str], reads: Tensor, groups: ChannelGroups, kernels: Mapping[str, Sequence[int]]
) -> frozenset[str]:
    direct = {layer for layer in piece if bool(torch.isin(read(layer, groups), reads).all())}
    return frozenset(
        layer
        for layer in direct
        if max(kernels[layer]) == 1
        and any(
            bool(torch.isin(written(layer, groups), written(other, groups)).all())
            for other in dense_layers(piece, groups)
            if other != layer and other not in direct
        )
    )


def _in_order(channels: Tensor) -> Tensor:
    """Return every channel once, where it stands first."""
    return torch.tensor(list(dict.fromkeys(channels.tolist())), dtype=torch.long)

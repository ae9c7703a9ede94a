"""One block of the target: which of its layers carries the source block's kernel, and what the others pass on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.graph import TensorSpec
from tlvcli.core.plan import Mapped
from tlvcli.methods.channel_map import NONE
from tlvcli.methods.coherent.assign import choose
from tlvcli.methods.coherent.blocks import Block, dense_layers, is_depthwise, num_groups, read, weight_of, written
from tlvcli.methods.coherent.kernels import Composition, Start, collapse_row, dirac_row
from tlvcli.methods.coherent.options import CoherentOptions


@dataclass(frozen=True, eq=False)
class Places:
    """Where the target's channels stand between two blocks: a position [channels] of `width` [channels], or NONE."""

    position: Tensor
    width: Tensor

    def at(self, channels: Tensor, num_source: int) -> Tensor:
        """Return the positions of channels among `num_source`; evenly spread ones where none of them has any."""
        known = self.position[channels]
        if bool((known == NONE).all()):
            return choose(num_source, len(channels), None)
        moved = known * num_source // self.width[channels].clamp_min(1)
        return moved.where(known != NONE, known)

    def put(self, channels: Tensor, positions: Tensor, width: int) -> Places:
        """Return the places with these channels at other positions."""
        widths = torch.full_like(positions, width)
        return Places(self.position.index_copy(0, channels, positions), self.width.index_copy(0, channels, widths))


@dataclass(frozen=True, eq=False)
class _Inside:
    """Channels within a block: positions, the singular vector they stand for, and whether the kernel is behind them."""

    position: Tensor
    component: Tensor
    is_known: Tensor
    is_past: Tensor

    def put(self, channels: Tensor, positions: Tensor, *, is_past: bool, components: Tensor | None = None) -> _Inside:
        nothing = torch.full_like(positions, NONE)
        return _Inside(
            self.position.index_copy(0, channels, positions),
            self.component.index_copy(0, channels, nothing if components is None else components),
            self.is_known.index_fill(0, channels, True),
            self.is_past.index_fill(0, channels, is_past),
        )


@dataclass(frozen=True, eq=False)
class BlockPlan:
    """What the rows of a block need: its channels' way, tensors by name, the source block, and its output map.

    `made` is None where a block of a chain has no source and only passes on what it reads.
    """

    block: Block
    groups: ChannelGroups
    specs: Mapping[str, TensorSpec]
    made: Composition | None
    outputs: Tensor
    positions: Tensor
    options: CoherentOptions
    seed: int

    def start(self, tensor: TensorSpec) -> Start:
        """Return how the kernel of this weight starts."""
        layer = tensor.name.rpartition(".")[0]
        is_normalised = any(
            site.reads == layer and site.operation in ("batch-norm", "norm") for site in self.groups.sites.values()
        )
        return Start(self.options.noise, self.seed, is_normalised)


def outputs_of(block: Block, groups: ChannelGroups) -> Tensor:
    """Return the block's output channels that its own layers write."""
    layers = dense_layers([layer for layer in block.layers if layer not in block.shortcuts], groups)
    own = torch.cat([written(layer, groups) for layer in layers]) if layers else block.writes
    return block.writes[torch.isin(block.writes, own)]


def plan_block(task: BlockPlan, places: Places) -> tuple[list[Mapped], Places]:
    """Return the rows of a block's weights, and where its channels stand behind it."""
    block, groups = task.block, task.groups
    width = len(task.made.inputs) if task.made else int(places.width[block.reads].max())
    before = places.at(block.reads, max(1, width))
    size = groups.num_channels
    nothing, never = torch.full((size,), NONE), torch.zeros(size, dtype=torch.bool)
    inside = _Inside(nothing, nothing, never, never).put(block.reads, before, is_past=task.made is None)
    rows: list[Mapped] = []
    for layer in block.layers:
        if layer in block.shortcuts:
            continue
        reads, writes = read(layer, groups), written(layer, groups)
        if not bool(inside.is_known[reads].all()) or len(torch.unique(inside.is_past[reads])) > 1:
            continue
        mapped, inside = _plan_layer(layer, reads, writes, inside, task)
        rows += [mapped] if mapped else []
    num_outputs = len(task.made.outputs) if task.made else width
    return rows, places.put(task.outputs, task.positions, num_outputs)


def _plan_layer(
    layer: str, reads: Tensor, writes: Tensor, inside: _Inside, task: BlockPlan
) -> tuple[Mapped | None, _Inside]:
    tensor = task.specs[weight_of(layer)]
    size = tensor.shape[2:]
    is_past = bool(inside.is_past[reads[0]])
    positions = inside.position[reads]
    if is_depthwise(layer, task.groups):
        if is_past or task.made is None or len(writes) != len(reads) or _has_surroundings(task) or max(size) == 1:
            return _pass_on(tensor, positions, positions[:, None], task), inside
        components = _rank(positions) % (size[0] * size[1])
        extra: dict[str, int | float | str] = {"part": "depthwise", "height": size[0], "width": size[1]}
        row = collapse_row(
            tensor, task.made, task.positions, positions, task.start(tensor), extra=extra, components=components
        )
        return row, inside.put(writes, positions, is_past=False, components=components)
    is_output = bool(torch.isin(writes, task.outputs).all())
    looks_around = bool(size) and max(size) > 1
    if not is_past and task.made is not None and (looks_around or is_output):
        outputs = (
            _outputs(writes, task) if is_output else task.positions[choose(len(task.positions), len(writes), None)]
        )
        return _carry(tensor, reads, outputs, inside, task), _behind(writes, outputs, inside, task, is_past=True)
    outputs = _outputs(writes, task) if is_output else positions[choose(len(reads), len(writes), None)]
    by_group = positions.view(num_groups(layer, task.groups), -1)
    inputs = by_group.repeat_interleave(len(writes) // len(by_group), 0) if len(by_group) > 1 else positions
    return _pass_on(tensor, outputs, inputs, task), _behind(writes, outputs, inside, task, is_past=is_past)


def _carry(tensor: TensorSpec, reads: Tensor, outputs: Tensor, inside: _Inside, task: BlockPlan) -> Mapped:
    assert task.made is not None
    axis = task.groups.axes[tensor.name][1]
    assert axis is not None
    inputs, components = inside.position[reads], inside.component[reads]
    if axis.dim() == 2:  # grouped: every output reads its group
        inputs = inside.position[axis].repeat_interleave(len(outputs) // len(axis), 0)
    elif bool((components != NONE).all()) and max(tensor.shape[2:] or (1,)) == 1:
        sizes = [task.specs[weight_of(layer)].shape[2:] for layer in task.block.layers]
        height, width = next(size for size in sizes if size and max(size) > 1)
        extra: dict[str, int | float | str] = {"part": "pointwise", "height": height, "width": width}
        return collapse_row(tensor, task.made, outputs, inputs, task.start(tensor), extra=extra, components=components)
    return collapse_row(tensor, task.made, outputs, inputs, task.start(tensor), extra={})


def _pass_on(tensor: TensorSpec, outputs: Tensor, inputs: Tensor, task: BlockPlan) -> Mapped | None:
    has_match = bool(torch.isin(outputs[outputs != NONE], inputs[inputs != NONE]).any())
    return (
        dirac_row(tensor, outputs, inputs, task.start(tensor))
        if task.options.surplus == "dirac" and has_match
        else None
    )


def _behind(writes: Tensor, outputs: Tensor, inside: _Inside, task: BlockPlan, *, is_past: bool) -> _Inside:
    """Return what is known behind a layer; a residual stream is still read as it came in."""
    if bool(torch.isin(writes, task.block.reads).any()):
        return inside
    return inside.put(writes, outputs, is_past=is_past)


def _outputs(writes: Tensor, task: BlockPlan) -> Tensor:
    """Return the positions of some of the block's output channels."""
    place = torch.full((task.groups.num_channels,), NONE).index_copy(0, task.outputs, task.positions)
    return place[writes]


def _has_surroundings(task: BlockPlan) -> bool:
    """Return whether a layer that mixes channels looks at its surroundings, too."""
    layers = dense_layers([layer for layer in task.block.layers if layer not in task.block.shortcuts], task.groups)
    return any(max(task.specs[weight_of(layer)].shape[2:] or (1,)) > 1 for layer in layers)


def _rank(positions: Tensor) -> Tensor:
    """Return for every entry how many entries before it are the same."""
    order = positions.argsort(stable=True)
    ranks = torch.arange(len(positions)) - torch.searchsorted(positions[order], positions[order])
    return torch.empty_like(positions).index_copy(0, order, ranks)

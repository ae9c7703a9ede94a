"""Weight selection: a smaller network of the same family starts from evenly spaced channels of a larger one.

Xu et al., ICLR 2024: "Initializing Models with Larger Ones". Layers are paired by name; in every dimension a target of
size t takes the positions 0, T/t, 2T/t, ... of the source's T, or rounded ones where t does not divide T.
Our correction: a channel is chosen once, where it is written, and found again in whatever reads it, so that packed
queries, keys and values, heads, groups, concatenations and flattened images keep their meaning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import ModelGraph, TensorSpec
from tlvcli.core.plan import Mapped, PlanRow, TransferPlan, assemble_plan, keep_row
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.channel_map import NONE, assign_channels, positions_in_groups, positions_of, tensors_with
from tlvcli.methods.family_options import WeightSelectionOptions
from tlvcli.methods.matching.names import evenly_spaced, learned_tensors, match_names

if TYPE_CHECKING:
    from torch import Tensor

_LEAST_SHARE = 0.9  # of the target's parameters and of its tensors, outside its head, that the source must have


@dataclass(frozen=True)
class _Channels:
    """Both networks' channels, and the source channel of every target channel."""

    target: ChannelGroups
    source: ChannelGroups
    origin: Tensor


def plan_weight_selection(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: WeightSelectionOptions,
    seed: int,
) -> TransferPlan:
    """Plan every target tensor; nothing is drawn, so `seed` changes nothing.

    Raises:
        TlvError: `method-not-applicable`, when the source is no larger network of the same family.
    """
    specs = {spec.name: spec for spec in source.specs}
    wanted = learned_tensors(target_graph)
    ways = _channels_of(source_graph), _channels_of(target_graph)
    head = _head_of(target_graph, ways[1])
    names = match_names(specs, [tensor.name for tensor in wanted], depth=options.depth)
    rows, pairs = [], []
    for tensor in wanted:
        spec = specs.get(names.get(tensor.name, ""))
        fault = _head_fault(tensor, spec, options) if tensor.name in head else _fault(tensor, spec)
        if fault or spec is None:
            rows.append(keep_row(tensor.name, tensor.shape, f"{fault}: the target's own initialisation"))
        else:
            pairs.append((tensor, spec))
    _refuse_strangers(target_graph, {row.tensor: row.reason for row in rows if row.tensor not in head}, head)
    _refuse_wider(pairs)
    channels, warnings = None, []
    if options.channels == "coherent":
        if ways[0] is None or ways[1] is None:
            untraced = "the source cannot be traced" if ways[0] is None else "the target cannot be traced"
            why = "the source's architecture is not known" if source_graph.channels is None else untraced
            warnings.append(f"{why}: channels are chosen in every dimension by itself")
        else:
            both = ways[1], ways[0]
            pair_names = {tensor.name: spec.name for tensor, spec in pairs}
            channels = _Channels(*both, assign_channels(*both, pair_names, lambda name: evenly_spaced, unwritten=True))
    parts = [Mapped(tuple(rows), {}, tuple(warnings)), *(_select(tensor, spec, channels) for tensor, spec in pairs)]
    return assemble_plan(target_graph, parts, reason="weight-selection leaves constants of the architecture alone")


def _channels_of(graph: ModelGraph) -> ChannelGroups | None:
    """Return the way of the channels; None where only tensors are known, or where the module cannot be traced."""
    try:
        return graph.channels() if graph.channels is not None else None
    except TlvError:
        return None


def _head_of(graph: ModelGraph, channels: ChannelGroups | None) -> frozenset[str]:
    """Return the tensors that write the network's outputs: those of its last layer where the way is not known."""
    if channels is None:
        last = [layer for layer in graph.layers if layer.kind in ("linear", "conv2d")][-1:]
        return frozenset(tensor.name for layer in last for tensor in layer.tensors)
    return tensors_with(channels.outputs, channels)


def _head_fault(tensor: TensorSpec, spec: TensorSpec | None, options: WeightSelectionOptions) -> str | None:
    if options.head == "skip":
        return "the head is not selected (head=skip)"
    if spec is not None and spec.shape[:1] != tensor.shape[:1]:
        return f"the head has {tensor.shape[0]} classes, the source's {spec.shape[0]}"
    return _fault(tensor, spec)


def _fault(tensor: TensorSpec, spec: TensorSpec | None) -> str | None:
    """Return why a tensor cannot be selected, or None."""
    if spec is None:
        return "the source has no tensor of this name"
    if len(spec.shape) != len(tensor.shape):
        return f"the source's tensor is {_words(spec.shape)}"
    differing = [dim for dim, (a, b) in enumerate(zip(spec.shape, tensor.shape, strict=True)) if a != b]
    if set(differing) - set(_channel_dims(tensor)):
        kind = "kernels" if tensor.suffix == "weight" else "positions"
        return f"other {kind}: {_words(spec.shape)} -> {_words(tensor.shape)}"
    return None


def _channel_dims(tensor: TensorSpec) -> tuple[int, ...]:
    """Return the dimensions that hold channels: not kernels, tokens or offsets."""
    if tensor.suffix.endswith("weight"):
        return (0, 1)
    long = [dim for dim, size in enumerate(tensor.shape) if size > 1]
    return tuple(long) if len(long) == 1 else (len(tensor.shape) - 1,)


def _refuse_strangers(graph: ModelGraph, reasons: Mapping[str, str], head: frozenset[str]) -> None:
    parameters = [t for t in graph.tensors() if t.name not in graph.buffers and t.name not in head]
    total = sum(tensor.num_elements for tensor in parameters)
    missing = [tensor for tensor in parameters if tensor.name in reasons]
    lost = sum(tensor.num_elements for tensor in missing) / max(1, total)
    share = 1 - max(lost, len(missing) / max(1, len(parameters)))  # a classifier outweighs a VGG's features by far
    if share < _LEAST_SHARE:
        first = f"{missing[0].name} {_words(missing[0].shape)}: {reasons[missing[0].name].partition(':')[0]}"
        raise TlvError(
            "method-not-applicable",
            f"weight-selection needs a larger network of the same family, this source has {share:.0%} of it ({first})",
            "--method tlv maps between families",
        )


def _refuse_wider(pairs: list[tuple[TensorSpec, TensorSpec]]) -> None:
    for tensor, spec in pairs:
        if any(own > given for own, given in zip(tensor.shape, spec.shape, strict=True)):
            raise TlvError(
                "method-not-applicable",
                f"weight-selection only shrinks: {tensor.name} is {_words(tensor.shape)}, the source's is smaller, "
                f"{_words(spec.shape)}",
                "--method net2net widens within a family, --method tlv maps between any two",
            )


def _select(tensor: TensorSpec, spec: TensorSpec, channels: _Channels | None) -> Mapped:
    maps, is_coherent = _maps(tensor, spec, channels)
    same = tensor.shape == spec.shape and all(torch.equal(index, torch.arange(len(index))) for index in maps.values())
    how = "same" if same else "evenly spaced" if is_coherent else "evenly spaced in every dimension by itself"
    row = PlanRow(
        tensor=tensor.name,
        shape=tensor.shape,
        source=spec.name,
        operation="copy" if same else "gather",
        parameters={},
        transferred=1.0,
        reason=f"{spec.name}: {_words(spec.shape)} -> {_words(tensor.shape)}, {how}",
    )
    return Mapped((row,), {} if same else {f"{tensor.name}:index{dim}": index for dim, index in maps.items()})


def _maps(tensor: TensorSpec, spec: TensorSpec, channels: _Channels | None) -> tuple[dict[int, Tensor], bool]:
    """Return the index map of each channel dimension, and whether they follow the channels' way."""
    sizes = dict(enumerate(zip(spec.shape, tensor.shape, strict=True)))
    by_itself = {dim: evenly_spaced(*sizes[dim]) for dim in _channel_dims(tensor) if dim in sizes}
    if channels is None:
        return by_itself, False
    maps: dict[int, Tensor] = {}
    for dim, (axis, source_axis) in enumerate(
        zip(channels.target.axes[tensor.name], channels.source.axes[spec.name], strict=True)
    ):
        if axis is None or source_axis is None:
            continue
        if axis.dim() == source_axis.dim() == 2:
            maps[dim] = positions_in_groups(axis, source_axis, maps[0], spec.shape[0], channels.origin)
        elif axis.dim() == source_axis.dim():
            maps[dim] = positions_of(axis, source_axis, channels.origin)
        else:
            return by_itself, False
    if any(bool((index == NONE).any()) for index in maps.values()):
        return by_itself, False
    return maps, True


def _words(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"

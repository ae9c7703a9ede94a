"""Within a family: every tensor follows the index maps of its channels; new blocks change nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer, ModelGraph, TensorSpec
from tlvcli.core.plan import Mapped, PlanRow, TransferPlan, assemble_plan, keep_row
from tlvcli.core.runtime import derive_seed
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.channel_map import NONE, positions_in_groups, positions_of
from tlvcli.methods.coherent.assign import assign_origins, score_channels
from tlvcli.methods.coherent.collapse import Step
from tlvcli.methods.coherent.kernels import Composition, resize_row
from tlvcli.methods.coherent.options import CoherentOptions
from tlvcli.methods.coherent.pairs import Pairs
from tlvcli.methods.net2net_depth import plan_new_layers

_LEAST_AGREEMENT = 0.8


@dataclass(frozen=True)
class _Channels:
    """Both networks' channels, and the source channel of every target channel."""

    target: ChannelGroups
    source: ChannelGroups
    origin: Tensor
    shares: float
    seed: int


def plan_family(
    source: TensorSource,
    target_graph: ModelGraph,
    groups: tuple[ChannelGroups, ChannelGroups],
    pairs: Pairs,
    *,
    options: CoherentOptions,
    seed: int,
) -> TransferPlan | None:
    """Plan every target tensor from its partner; `groups` are source's and target's.

    None where too many layers read what their partners do not: the networks have layers in common, but no wiring.
    """
    source_groups, own = groups
    is_narrower = any(wanted < have for t, s in pairs.tensors for wanted, have in zip(t.shape, s.shape, strict=True))
    scores = score_channels(source, source_groups) if is_narrower and options.channels == "variance" else None
    new = _unpaired(target_graph, pairs)
    warnings: tuple[str, ...] = ()
    try:
        written = [axis for t in _weights_of(new, own) if (axis := own.axes[t][0]) is not None]
        held_back = torch.cat([torch.empty(0, dtype=torch.long), *written])
        origin = assign_origins(own, source_groups, pairs.names, scores, held_back)
        deepened = plan_new_layers(new, own, pairs.names, origin)
        parts, origin = list(deepened.parts), deepened.origin
    except TlvError as error:
        origin = assign_origins(own, source_groups, pairs.names, scores)
        parts = [_as_they_are(new)]
        warnings = (f"{error.message.partition(': ')[2]}; all {len(new)} new layers start as they are",)
    channels = _Channels(own, source_groups, origin, options.shares, seed)
    transposed = {tensor.name for layer in target_graph.of_kind("conv-transpose") for tensor in layer.tensors}
    head = [
        keep_row(tensor.name, tensor.shape, "another number of classes: the target's own head")
        for tensor in target_graph.tensors()
        if tensor.name in pairs.head
    ]
    fed = [_plan_tensor(t, s, channels, reads=0 if t.name in transposed else 1) for t, s in pairs.tensors]
    if _agreement(fed) < _LEAST_AGREEMENT:
        return None
    parts += fed
    parts.append(Mapped(tuple(head), {}, warnings))
    return assemble_plan(target_graph, parts, reason="a constant of the architecture")


def _agreement(parts: Sequence[Mapped]) -> float:
    """Return the share of what weights read that their partners read, too."""
    shares = [
        float((index >= 0).double().mean())
        if (index := part.arrays.get(f"{part.rows[0].tensor}:index1")) is not None
        else 1.0
        for part in parts
        if len(part.rows[0].shape) > 1
    ]
    return sum(shares) / max(1, len(shares))


def _unpaired(graph: ModelGraph, pairs: Pairs) -> list[Layer]:
    names = pairs.names
    return [
        layer
        for layer in graph.layers
        if not any(tensor.name in names or tensor.name in pairs.head for tensor in layer.tensors)
        and any(tensor.name not in graph.buffers for tensor in layer.tensors)
    ]


def _weights_of(layers: Sequence[Layer], groups: ChannelGroups) -> list[str]:
    return [t.name for layer in layers if layer.name in groups.sites for t in layer.tensors if len(t.shape) > 1]


def _as_they_are(layers: Sequence[Layer]) -> Mapped:
    reason = "the source has no layer for it: the architecture's own initialisation"
    return Mapped(tuple(keep_row(tensor.name, tensor.shape, reason) for layer in layers for tensor in layer.tensors))


def _plan_tensor(tensor: TensorSpec, spec: TensorSpec, channels: _Channels, *, reads: int) -> Mapped:
    maps = _maps(tensor, spec, channels)
    colours = _are_added_up(tensor, spec, channels)
    if colours:
        del maps[1]
    if tensor.suffix == "weight" and tensor.shape[2:] != spec.shape[2:]:
        return _plan_kernel(tensor, spec, maps)
    grid = _grid(tensor, spec)
    if grid is not None:
        return _plan_grid(tensor, spec, maps, grid)
    is_weight = tensor.suffix.endswith("weight") and len(tensor.shape) > 1
    arrays: dict[str, Tensor] = {}
    taken = 1.0
    for dim, index in maps.items():
        fed = index != NONE
        if is_weight and dim == reads:
            scale = _shares(index)
            # What only new layers write changes nothing yet; what the source knows but does not read here is free.
            silent = ~fed & (channels.origin[_axis(tensor, dim, channels)] == NONE)
            index = index.where(~silent, torch.tensor(0))
            if bool((scale != 1.0)[index >= 0].any()):
                arrays[f"{tensor.name}:scale{dim}"] = scale.where(~silent, torch.tensor(0.0))
        taken *= float(fed.double().mean())
        arrays[f"{tensor.name}:index{dim}"] = index
    is_same = tensor.shape == spec.shape and all(
        torch.equal(array, torch.arange(len(array))) for array in arrays.values()
    )
    if is_same:
        return Mapped((_row(tensor, spec, "copy", {}, 1.0),))
    parameters: dict[str, int | float | str] = {"colours": "sum"} if colours else {}
    scale_in = arrays.get(f"{tensor.name}:scale1")
    if channels.shares and reads == 1 and scale_in is not None and bool(((scale_in > 0) & (scale_in < 1)).any()):
        seed = derive_seed(channels.seed, "coherent", tensor.name)
        parameters |= {"shares": channels.shares, "seed": seed}
    return Mapped((_row(tensor, spec, "gather", parameters, taken),), arrays)


def _are_added_up(tensor: TensorSpec, spec: TensorSpec, channels: _Channels) -> bool:
    """Return whether a layer reads a grey image, and its partner one of several colours."""
    if len(tensor.shape) < 2:
        return False
    ends = ((channels.target, tensor, channels.target.inputs), (channels.source, spec, channels.source.inputs))
    reads = [(groups.axes[own.name][1], inputs) for groups, own, inputs in ends]
    is_first = all(axis is not None and torch.equal(axis, inputs) for axis, inputs in reads)
    return is_first and len(channels.target.inputs) == 1 < len(channels.source.inputs)


def _plan_kernel(tensor: TensorSpec, spec: TensorSpec, maps: Mapping[int, Tensor]) -> Mapped:
    """Plan a convolution of another kernel size: the source's in the centre, or made smaller."""
    num_outputs = spec.shape[0]
    is_depthwise = spec.shape[1] == 1
    num_inputs = num_outputs if is_depthwise else spec.shape[1]
    step = Step(spec.name, None, torch.arange(num_inputs), torch.arange(num_inputs, num_inputs + num_outputs), 0.0)
    made = Composition((step,), step.reads, step.writes, loop=True, main=spec.name)
    inputs = maps[0][:, None] if is_depthwise else maps.get(1, torch.arange(num_inputs))
    return resize_row(tensor, made, maps.get(0, torch.arange(num_outputs)), inputs)


def _grid(tensor: TensorSpec, spec: TensorSpec) -> tuple[int, int] | None:
    """Return the dimension of a table along which squares of another size lie, and what stands before the square."""
    if tensor.suffix.endswith("weight") or len(tensor.shape) < 2:
        return None
    for dim, (own, have) in enumerate(zip(tensor.shape[:-1], spec.shape[:-1], strict=True)):
        before = have - isqrt(have) ** 2
        if own != have and min(own, have) > 3 and own - before == isqrt(own - before) ** 2:
            return dim, before
    return None


def _plan_grid(tensor: TensorSpec, spec: TensorSpec, maps: Mapping[int, Tensor], grid: tuple[int, int]) -> Mapped:
    dim, before = grid
    arrays = {f"{tensor.name}:index{other}": index for other, index in maps.items() if other != dim}
    parameters: dict[str, int | float | str] = {"dim": dim, "before": before}
    row = _row(tensor, spec, "resize", parameters, 1.0)
    return Mapped((row,), {role: index.clamp_min(0) for role, index in arrays.items()})


def _axis(tensor: TensorSpec, dim: int, channels: _Channels) -> Tensor:
    axis = channels.target.axes[tensor.name][dim]
    assert axis is not None
    return axis if axis.dim() == 1 else axis[0]


def _maps(tensor: TensorSpec, spec: TensorSpec, channels: _Channels) -> dict[int, Tensor]:
    maps: dict[int, Tensor] = {}
    axes = zip(channels.target.axes[tensor.name], channels.source.axes[spec.name], strict=True)
    for dim, (axis, source_axis) in enumerate(axes):
        if axis is None or source_axis is None:
            continue
        if axis.dim() == 1:
            maps[dim] = positions_of(axis, source_axis, channels.origin)
        else:
            maps[dim] = _within_groups(axis, source_axis, maps[0], spec, channels)
        if tensor.shape[dim] == spec.shape[dim] and bool((channels.origin[axis] == NONE).all()):
            del maps[dim]  # tokens, offsets, or what is read from a constant: no channel, so it stays as it is
    return maps


def _within_groups(axis: Tensor, source_axis: Tensor, outputs: Tensor, spec: TensorSpec, channels: _Channels) -> Tensor:
    """Return what each group reads; where groups do not correspond, position by position."""
    index = positions_in_groups(axis, source_axis, outputs, spec.shape[0], channels.origin)
    if bool((index != NONE).all()):
        return index
    have, wanted = source_axis.shape[1], axis.shape[1]
    return torch.arange(wanted) * have // wanted


def _shares(index: Tensor) -> Tensor:
    """Return for every position one over the number of positions that read the same, and 0 for those without."""
    fed = index != NONE
    if not bool(fed.any()):
        return torch.ones(len(index))
    counts = torch.bincount(index[fed], minlength=int(index.max()) + 1)
    return (1.0 / counts[index.clamp_min(0)]).where(fed, torch.tensor(1.0))


def _row(
    tensor: TensorSpec, spec: TensorSpec, operation: str, parameters: dict[str, int | float | str], taken: float
) -> PlanRow:
    grown = any(wanted > have for wanted, have in zip(tensor.shape, spec.shape, strict=True))
    how = "as it is" if tensor.shape == spec.shape else "channels copied" if grown else "channels chosen"
    how = "colours added up" if "colours" in parameters else how
    how = "a grid of another size" if operation == "resize" else how
    change = "the same" if operation == "copy" else f"{_words(spec.shape)} -> {_words(tensor.shape)}, {how}"
    return PlanRow.model_validate(
        {
            "tensor": tensor.name,
            "shape": tensor.shape,
            "source": spec.name if taken else None,
            "operation": operation if taken else "keep",
            "parameters": parameters,
            "transferred": taken,
            "reason": f"{spec.name}: {change}" if taken else "no channel of it has a source",
        }
    )


def _words(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "one number"

"""Net2Net: a wider or deeper network of the same family that computes what the source computes.

Chen, Goodfellow, Shlens, ICLR 2016: "Net2Net: Accelerating Learning via Knowledge Transfer". New channels double old
ones, and whoever reads them divides by how many there are; new layers change nothing (`net2net_depth`). Channels are
followed through the whole network, so that batch normalisation, residual additions, concatenations, depthwise and
grouped convolutions double along.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.graph import Layer, ModelGraph, TensorSpec
from tlvcli.core.plan import Mapped, PlanRow, TransferPlan, assemble_plan, keep_row
from tlvcli.core.runtime import derive_seed, make_generator
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.channel_map import NONE, Rule, assign_channels, positions_in_groups, positions_of, tensors_with
from tlvcli.methods.family_options import Net2NetOptions
from tlvcli.methods.matching.names import learned_tensors
from tlvcli.methods.matching.stage import match_by_stage
from tlvcli.methods.net2net_depth import not_applicable, plan_new_layers

if TYPE_CHECKING:
    from torch import Tensor

_READS = 1  # the dimension of a weight along which it reads


@dataclass(frozen=True)
class _Widening:
    """Both networks' channels, the source channel of every target channel, and the noise on doubled ones.

    `new` are the target channels that new layers write.
    """

    target: ChannelGroups
    source: ChannelGroups
    origin: Tensor
    new: Tensor
    noise: float
    seed: int


def plan_net2net(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: Net2NetOptions,
    seed: int,
) -> TransferPlan:
    """Plan every target tensor; which channels are doubled is drawn for each layer from its own stream of `seed`.

    Raises:
        TlvError: `method-not-applicable`, naming the layer for which no function-preserving rule is known.
    """
    if source_graph.channels is None or target_graph.channels is None:
        raise not_applicable("the source's architecture is not known, so neither is the way of its channels")
    groups, source_groups = target_graph.channels(), source_graph.channels()
    if len(groups.inputs) != len(source_groups.inputs):
        raise not_applicable(f"{len(source_groups.inputs)} input channels do not become {len(groups.inputs)}")
    has_same_head = len(groups.outputs) == len(source_groups.outputs)
    head = frozenset() if has_same_head else tensors_with(groups.outputs, groups)
    pairs = _pair_tensors(source_graph, source_groups, target_graph, groups, head)
    names = {tensor.name: spec.name for tensor, spec in pairs}

    origin = assign_channels(
        groups, source_groups, names, lambda name: _widen(make_generator(seed, "net2net", name)), unwritten=False
    )
    new = [layer for layer in target_graph.layers if not any(t.name in names or t.name in head for t in layer.tensors)]
    new = [layer for layer in new if any(tensor.name not in target_graph.buffers for tensor in layer.tensors)]
    deepened = plan_new_layers(new, groups, names, origin)
    widening = _Widening(groups, source_groups, deepened.origin, _written_by(new, groups), options.noise, seed)
    _refuse_mixed(widening)
    head_rows = tuple(
        keep_row(tensor.name, tensor.shape, "another number of classes: the target's own head")
        for tensor in target_graph.tensors()
        if tensor.name in head
    )
    parts = [Mapped(head_rows), *deepened.parts, *(_plan_tensor(tensor, spec, widening) for tensor, spec in pairs)]
    return assemble_plan(target_graph, parts, reason="net2net leaves constants of the architecture alone")


def _pair_tensors(
    source_graph: ModelGraph,
    source: ChannelGroups,
    target_graph: ModelGraph,
    target: ChannelGroups,
    head: frozenset[str],
) -> list[tuple[TensorSpec, TensorSpec]]:
    """Return target and source tensors that belong together: by name, or else by their place in a stage."""
    wanted = learned_tensors(target_graph)
    skipped = head and tensors_with(source.outputs, source)
    specs = {spec.name: spec for spec in learned_tensors(source_graph) if spec.name not in skipped}
    ranks = {tensor.name: len(tensor.shape) for tensor in wanted}
    if all(ranks.get(name) == len(spec.shape) for name, spec in specs.items()):
        layers = {name.rpartition(".")[0]: name.rpartition(".")[0] for name in specs}
    else:
        layers = match_by_stage(source.sites, target.sites)
    pairs = []
    for tensor in wanted:
        layer, _, suffix = tensor.name.rpartition(".")
        spec = specs.get(f"{layers[layer]}.{suffix}".lstrip(".")) if layer in layers else None
        if spec is not None and tensor.name not in head:
            pairs.append((tensor, spec))
    unused = set(specs) - {spec.name for _, spec in pairs}
    if unused:
        first = next(name for name in specs if name in unused)
        raise not_applicable(f"the target has no place for the source's {first}, a layer more than it has")
    transposed = {tensor.name for layer in target_graph.of_kind("conv-transpose") for tensor in layer.tensors}
    for tensor, spec in pairs:
        _refuse_shapes(tensor, spec, is_transposed=tensor.name in transposed)
    return pairs


def _refuse_shapes(tensor: TensorSpec, spec: TensorSpec, *, is_transposed: bool) -> None:
    sizes = list(zip(spec.shape, tensor.shape, strict=False))
    if len(spec.shape) != len(tensor.shape) or any(given > own for given, own in sizes):
        why = "smaller than"
    elif tensor.suffix == "weight" and sizes[2:] != [(own, own) for _, own in sizes[2:]]:
        why = "of another kernel size than"
    elif is_transposed and tensor.shape != spec.shape:
        why = "a transposed convolution, wider than"
    else:
        return
    raise not_applicable(f"{tensor.name} is {list(tensor.shape)}, {why} the source's {spec.name} {list(spec.shape)}")


def _widen(generator: torch.Generator) -> Rule:
    def rule(num_source: int, num_target: int) -> Tensor:
        if num_target < num_source:
            raise not_applicable(f"{num_source} channels, groups or heads do not become {num_target}")
        drawn = torch.randint(num_source, (num_target - num_source,), generator=generator)
        return torch.cat([torch.arange(num_source), drawn])

    return rule


def _written_by(layers: Sequence[Layer], groups: ChannelGroups) -> Tensor:
    axes = [groups.axes[tensor.name][0] for layer in layers for tensor in layer.tensors if len(tensor.shape) > 1]
    return torch.cat([torch.empty(0, dtype=torch.long), *(axis for axis in axes if axis is not None)])


def _refuse_mixed(widening: _Widening) -> None:
    """Refuse doubled channels where a normalisation or an attention makes one number of many."""
    for reason, channels in widening.target.mixed.items():
        origins = widening.origin[channels]
        origins = origins[origins != NONE]
        if len(torch.unique(origins)) < len(origins):
            raise not_applicable(f"doubled channels would change a result of {reason}; only depth can grow here")


def _plan_tensor(tensor: TensorSpec, spec: TensorSpec, widening: _Widening) -> Mapped:
    arrays: dict[str, Tensor] = {}
    taken = 1.0
    maps = _maps(tensor, spec, widening)
    is_weight = tensor.suffix.endswith("weight") and len(tensor.shape) > 1
    for dim, index in maps.items():
        if is_weight and dim == _READS:
            if len(torch.unique(index[index != NONE])) < _num_read(spec, widening):
                raise not_applicable(f"{tensor.name} does not read all that the source's {spec.name} reads")
            scale = _shares(index)
            index = index.clamp_min(0)
            if bool((scale != 1.0).any()):
                arrays[f"{tensor.name}:scale{dim}"] = scale
            taken *= float((scale > 0).double().mean())
        elif is_weight and bool((index == NONE).any()):
            raise not_applicable(f"{tensor.name} writes channels that the source does not have")
        else:
            taken *= float((index != NONE).double().mean())
        arrays[f"{tensor.name}:index{dim}"] = index
    same = (
        tensor.shape == spec.shape
        and all(torch.equal(index, torch.arange(len(index))) for index in maps.values())
        and not any(":scale" in role for role in arrays)
    )
    if same:
        return Mapped((_row(tensor, spec, "copy", {}, 1.0),))
    parameters: dict[str, int | float | str] = {}
    repeats = _repeats(maps[0]) if is_weight and widening.noise and 0 in maps else None
    if repeats is not None and len(repeats):
        arrays[f"{tensor.name}:repeats"] = repeats
        parameters = {"noise": widening.noise, "seed": derive_seed(widening.seed, "net2net", tensor.name, "noise")}
    return Mapped((_row(tensor, spec, "gather", parameters, taken),), arrays)


def _maps(tensor: TensorSpec, spec: TensorSpec, widening: _Widening) -> dict[int, Tensor]:
    maps: dict[int, Tensor] = {}
    axes = zip(widening.target.axes[tensor.name], widening.source.axes[spec.name], strict=True)
    for dim, (axis, source_axis) in enumerate(axes):
        if axis is None or source_axis is None:
            continue
        if axis.dim() != source_axis.dim():
            raise not_applicable(f"{tensor.name} is grouped, the source's {spec.name} is not, or the other way round")
        if axis.dim() == 2:
            maps[dim] = positions_in_groups(axis, source_axis, maps[0], spec.shape[0], widening.origin)
            if bool((maps[dim] == NONE).any()):
                raise not_applicable(f"the groups of {tensor.name} do not read what those of {spec.name} read")
        else:
            maps[dim] = positions_of(axis, source_axis, widening.origin)
        if bool((maps[dim] == NONE).all()):
            # Offsets, tokens, or what is read from a constant: no channel, so it can only stay as it is.
            _refuse_unwritten(tensor, spec, dim, axis, widening)
            del maps[dim]
    return maps


def _refuse_unwritten(tensor: TensorSpec, spec: TensorSpec, dim: int, axis: Tensor, widening: _Widening) -> None:
    if bool(torch.isin(axis, widening.new).any()):
        layer = min(tensors_with(axis, widening.target)).rpartition(".")[0]
        raise not_applicable(f"{tensor.name} reads {layer}, a new layer that would change what passes through it")
    if tensor.shape[dim] != spec.shape[dim]:
        raise not_applicable(f"no layer writes what {tensor.name} has along dimension {dim}, and it grows")


def _num_read(spec: TensorSpec, widening: _Widening) -> int:
    axis = widening.source.axes[spec.name][_READS]
    assert axis is not None
    return int(axis.shape[-1])


def _shares(index: Tensor) -> Tensor:
    """Return for every position one over the number of positions that read the same, and 0 for those without."""
    counts = torch.bincount(index.clamp_min(0)[index != NONE], minlength=int(index.max()) + 1)
    return (1.0 / counts[index.clamp_min(0)].clamp_min(1)).where(index != NONE, torch.tensor(0.0))


def _repeats(index: Tensor) -> Tensor:
    """Return the positions whose entry stands at an earlier position, too."""
    seen: set[int] = set()
    repeated = []
    for position, entry in enumerate(index.tolist()):
        if entry in seen:
            repeated.append(position)
        seen.add(entry)
    return torch.tensor(repeated, dtype=torch.long)


def _row(
    tensor: TensorSpec, spec: TensorSpec, operation: str, parameters: dict[str, int | float | str], taken: float
) -> PlanRow:
    change = "same" if operation == "copy" else f"{list(spec.shape)} -> {list(tensor.shape)}, channels doubled"
    return PlanRow.model_validate(
        {
            "tensor": tensor.name,
            "shape": tensor.shape,
            "source": spec.name,
            "operation": operation,
            "parameters": parameters,
            "transferred": taken,
            "reason": f"{spec.name}: {change}",
        }
    )

"""Pairs of tensors within a family: by name, blocks of a stage spread evenly, or else by their place in a stage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from tlvcli.core.channels import ChannelGroups, Site
from tlvcli.core.graph import LayerKind, ModelGraph, TensorSpec
from tlvcli.methods.channel_map import tensors_with
from tlvcli.methods.matching.names import NUMBERED, learned_tensors, numbers_behind

_Item = TypeVar("_Item")

_FAMILY = 0.9  # of the weights of one side that have a partner: the other side is a larger one of the family
# Of the weights of both sides, where they are equally deep; of one side where blocks attend, which cannot be collapsed.
_RELATED = 0.6


@dataclass(frozen=True)
class Pairs:
    """Tensors of the target with their source tensors, in the target's order; `head` are left out of them.

    `is_family` says that they are most of one network.
    """

    tensors: tuple[tuple[TensorSpec, TensorSpec], ...]
    head: frozenset[str]
    is_family: bool

    @property
    def names(self) -> dict[str, str]:
        """The source tensor's name by the target's."""
        return {tensor.name: spec.name for tensor, spec in self.tensors}


def pair_by_names(source: ModelGraph, target: ModelGraph, head: frozenset[str] = frozenset()) -> Pairs:
    """Return the pairs that names and shapes suggest; sizes of channels may differ, kernels may not."""
    specs = learned_tensors(source)
    names = spread_names([spec.name for spec in specs], [tensor.name for tensor in learned_tensors(target)])
    return _pairs(source, target, names, head)


def pair_by_channels(source: ModelGraph, target: ModelGraph, groups: tuple[ChannelGroups, ChannelGroups]) -> Pairs:
    """Return the pairs by names or by places in stages, whichever are more; `groups` are source's and target's.

    Where the classes differ, the layers that write them are no pair.
    """
    has_same_head = len(groups[0].outputs) == len(groups[1].outputs)
    head = frozenset() if has_same_head else tensors_with(groups[1].outputs, groups[1])
    layers = spread_layers(groups[0].sites, groups[1].sites)
    places = {
        tensor.name: f"{layers[layer]}.{tensor.suffix}".lstrip(".")
        for tensor in learned_tensors(target)
        if (layer := tensor.name.rpartition(".")[0]) in layers
    }
    specs = [[tensor.name for tensor in learned_tensors(graph)] for graph in (source, target)]
    attends = any("attention" in side.mixed for side in groups)
    both = (
        _pairs(source, target, spread_names(*specs), head, groups, least=_RELATED if attends else _FAMILY),
        _pairs(source, target, places, head, groups),
    )
    best = max(both, key=lambda pairs: (pairs.is_family, len(pairs.tensors)))
    # A chain and a residual network may have layers in common, but not what their readers find.
    is_alike = bool(groups[0].additions) == bool(groups[1].additions)
    return replace(best, is_family=best.is_family and is_alike)


def spread_names(source: Collection[str], target: Collection[str]) -> dict[str, str]:
    """Return the source's name for each of the target's that has one; numbered modules of a list are spread evenly.

    Of six blocks, two take the first and the fourth; of two, six give theirs to the first and the fourth.
    """
    numbers, own_numbers = (numbers_behind(name.split(".")[:-2] for name in names) for names in (source, target))
    known = set(source)
    names: dict[str, str] = {}
    for name in target:
        prefix = own_prefix = ""
        *modules, layer, suffix = ["", *name.split(".")] if "." not in name else name.split(".")
        for part in modules:
            numbered = NUMBERED.match(part)
            renamed: str | None = part
            if numbered:
                have = numbers.get(prefix + numbered[1], [])
                own = own_numbers[own_prefix + numbered[1]]
                number = spread(have, len(own))[own.index(int(numbered[2]))]
                renamed = None if number is None else f"{numbered[1]}{number}"
            if renamed is None:
                break
            prefix, own_prefix = f"{prefix}{renamed}.", f"{own_prefix}{part}."
        else:
            other = ".".join(filter(None, (prefix.rstrip("."), layer, suffix)))
            if other in known:
                names[name] = other
    return names


def spread(have: Sequence[_Item], num_wanted: int) -> list[_Item | None]:
    """Return `num_wanted` of what there is, evenly from the first; None in between where there is less."""
    if len(have) >= num_wanted:
        return [have[index * len(have) // num_wanted] for index in range(num_wanted)]
    places = {index * num_wanted // len(have): item for index, item in enumerate(have)}
    return [places.get(index) for index in range(num_wanted)]


def spread_layers(source: Mapping[str, Site], target: Mapping[str, Site]) -> dict[str, str]:
    """Return the source layer of each target layer: among those of one operation and size, the first, or evenly."""
    have, wanted = _by_place(source), _by_place(target)
    pairs: dict[str, str] = {}
    for place, names in wanted.items():
        known = have.get(place, [])
        chosen = spread(known, len(names)) if len(known) > len(names) else known
        pairs.update((name, other) for name, other in zip(names, chosen, strict=False) if other is not None)
    return pairs


def _by_place(sites: Mapping[str, Site]) -> dict[tuple[str, tuple[int, ...]], list[str]]:
    places: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for name, site in sites.items():
        places.setdefault((site.operation, site.size), []).append(name)
    return places


def _pairs(
    source: ModelGraph,
    target: ModelGraph,
    names: Mapping[str, str],
    head: frozenset[str],
    groups: tuple[ChannelGroups, ChannelGroups] | None = None,
    least: float = _FAMILY,
) -> Pairs:
    kinds, own_kinds = ({t.name: layer.kind for layer in g.layers for t in layer.tensors} for g in (source, target))
    specs = {spec.name: spec for spec in source.tensors()}
    tensors = []
    for tensor in learned_tensors(target):
        spec = specs.get(names.get(tensor.name, ""))
        if spec is None or tensor.name in head or len(spec.shape) != len(tensor.shape):
            continue
        if kinds[spec.name] != own_kinds[tensor.name] or not _fits(tensor, spec, kinds[spec.name]):
            continue
        if groups is None or _ranks(groups[0], spec.name) == _ranks(groups[1], tensor.name):
            tensors.append((tensor, spec))
    return _judged(source, target, tuple(tensors), head, least)


def _fits(tensor: TensorSpec, spec: TensorSpec, kind: LayerKind) -> bool:
    """Return whether kernels agree, or can be cut or surrounded with zeros: none of one pixel, and none grouped."""
    if tensor.suffix != "weight" or spec.shape[2:] == tensor.shape[2:]:
        return True
    can_resize = kind == "depthwise-conv2d" or (kind == "conv2d" and 1 not in (spec.shape[1], tensor.shape[1]))
    return can_resize and min(*spec.shape[2:], *tensor.shape[2:]) > 1


def _ranks(groups: ChannelGroups, name: str) -> list[int]:
    """Return how many dimensions each axis has: two where a convolution is grouped."""
    return [0 if axis is None else axis.dim() for axis in groups.axes[name]]


def _judged(
    source: ModelGraph,
    target: ModelGraph,
    tensors: tuple[tuple[TensorSpec, TensorSpec], ...],
    head: frozenset[str],
    least: float,
) -> Pairs:
    """Count weights: biases and normalisations pair between any two networks of the same depth."""
    wanted, have = _weights(target), _weights(source)
    own = [name for name in wanted if name not in head]
    partners = Counter(spec.name for tensor, spec in tensors if tensor.name in wanted)
    of_target = sum(partners.values()) / max(1, len(own))
    of_source = len(partners) / max(1, len(have) - (1 if head else 0))
    is_related = len(wanted) == len(have) and min(of_target, of_source) >= _RELATED
    is_family = max(of_target, of_source) >= least or is_related
    return Pairs(tensors, head, is_family and bool(tensors))


def _weights(graph: ModelGraph) -> set[str]:
    parameters = (tensor for tensor in learned_tensors(graph) if tensor.name not in graph.buffers)
    return {tensor.name for tensor in parameters if len(tensor.shape) > 1}

"""Units of a network: the blocks that people count when they say "the last three layers".

The rule needs no list of architectures. The tree of modules is descended from its root. A container without a
computation of its own (Sequential, ModuleList, ModuleDict) is opened. So is a module that holds most of the network's
weights, with most of them in one container, and its siblings of that form: the encoder of a vision transformer, the
stages of a ConvNeXt in timm, a backbone inside a wrapper. Everything else with tensors is a unit: a convolution, a
residual block, an inception block. A module whose parameters are all vectors (normalisation, PReLU) belongs to the
unit before it, as the batch normalisation of the stem does. Parameters that lie beside the units (class tokens,
position embeddings) belong to the first one.

The last unit is the classifier: every unit that holds tensors of the head, auxiliary classifiers too.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

from tlvcli.core.graph import ModelGraph, Module

CONTAINERS = frozenset({"Sequential", "ModuleList", "ModuleDict"})


@dataclass(frozen=True)
class Unit:
    """Modules that count as one; `name` is the first of them, `tensors` are parameters and buffers."""

    name: str
    modules: tuple[str, ...]
    tensors: tuple[str, ...]


def find_units(graph: ModelGraph, head: Set[str], calls: Sequence[str] = ()) -> tuple[Unit, ...]:
    """Return the units from input to output, the classifier last; every tensor is in exactly one.

    `head` names the tensors whose shape follows the number of classes. `calls` are names of modules in the order of the
    forward pass; without them units stand in the order in which they were registered.
    """
    assert graph.tree, "units are read from modules, not from names"
    shapes = {tensor.name: tensor.shape for tensor in graph.tensors()}
    units: list[Unit] = []
    beside = dict.fromkeys(shapes)
    for module in _blocks(graph.tree, graph):
        tensors = _below(module.name, shapes)
        if not tensors:
            continue
        for tensor in tensors:
            beside.pop(tensor)
        only_vectors = all(len(shapes[tensor]) <= 1 for tensor in tensors)
        if only_vectors and units and head.isdisjoint(tensors):
            units[-1] = _join(units[-1].name, (units[-1], Unit(module.name, (module.name,), tensors)))
        else:
            units.append(Unit(module.name, (module.name,), tensors))
    classifiers = [unit for unit in units if not head.isdisjoint(unit.tensors)]
    backbone = _in_order_of([unit for unit in units if unit not in classifiers], calls)
    ordered = [*backbone, *([_join(classifiers[-1].name, classifiers)] if classifiers else [])]
    if ordered:
        ordered[0] = replace(ordered[0], tensors=(*ordered[0].tensors, *beside))
    return tuple(ordered)


def _blocks(module: Module, graph: ModelGraph) -> list[Module]:
    """Return the modules that are not opened, in the order of registration."""
    total = graph.num_parameters

    def weight(part: Module) -> int:
        prefix = f"{part.name}." if part.name else ""
        tensors = (t for t in graph.tensors() if t.name.startswith(prefix) and t.name not in graph.buffers)
        return sum(tensor.num_elements for tensor in tensors)

    def is_nest(part: Module) -> bool:
        """Return whether most of its weights lie in one container."""
        own = weight(part)
        return any(weight(child) * 2 > own and (is_container(child) or is_nest(child)) for child in part.children)

    def is_container(part: Module) -> bool:
        return bool(part.children) and part.type in CONTAINERS

    def descend(part: Module) -> list[Module]:
        # Of one dominant stage among several, the others are opened too: the last is the heaviest in most networks.
        opens_nests = any(weight(child) * 2 > total and is_nest(child) for child in part.children)
        blocks: list[Module] = []
        for child in part.children:
            is_opened = is_container(child) or (opens_nests and is_nest(child))
            blocks += descend(child) if is_opened else [child]
        return blocks

    return descend(module) if module.children else [module]


def _below(name: str, shapes: dict[str, tuple[int, ...]]) -> tuple[str, ...]:
    return tuple(tensor for tensor in shapes if not name or tensor.startswith(f"{name}."))


def _join(name: str, units: Sequence[Unit]) -> Unit:
    return Unit(
        name,
        tuple(module for unit in units for module in unit.modules),
        tuple(tensor for unit in units for tensor in unit.tensors),
    )


def _in_order_of(units: Sequence[Unit], calls: Sequence[str]) -> list[Unit]:
    """Return the units by their first call; one that was never called stays behind its neighbour."""
    first = {name: position for position, name in reversed(list(enumerate(calls)))}
    places: list[int] = []
    for unit in units:
        called = [first[module] for module in unit.modules if module in first]
        places.append(min(called) if called else (places[-1] if places else -1))
    return [unit for _, unit in sorted(zip(places, units, strict=True), key=lambda placed: placed[0])]

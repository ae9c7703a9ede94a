"""What a matching compares: layers by kind and shape, and blocks of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tlvcli.core.graph import Layer, LayerKind, Module

_MAX_DEPTH = 100  # parts of a name; a hostile file may have thousands


@dataclass(frozen=True)
class Form:
    """A layer to a score: forms of different `group` are never alike; `shape` is the weight's, if it has one."""

    group: str
    shape: tuple[int, ...] | None

    @property
    def has_inputs(self) -> bool:
        """Whether the weight has a dimension for inputs: convolutions and linear layers, not normalisation."""
        return self.shape is not None and len(self.shape) > 1


@dataclass(frozen=True)
class Item:
    """A layer, or a block of items; equal to another if both are alike in form, whatever their names.

    A layer without a form (a ReLU in the authors' lists) takes a place and is like nothing.
    """

    name: str = field(compare=False)
    form: Form | None
    items: tuple[Item, ...] = ()


def layer_form(layer: Layer, groups: Sequence[tuple[LayerKind, ...]]) -> Form | None:
    """Return the form of a layer whose kind is in one of the groups, None for any other."""
    return next((Form(kinds[0], layer.leading.shape) for kinds in groups if layer.kind in kinds), None)


def tree_of_names(names: Sequence[str]) -> Module:
    """Return the tree that dotted names draw: `layer1.0.conv1` is a layer in block `layer1.0` of `layer1`."""
    children: dict[str, dict[str, None]] = {}
    for name in names:
        path = name.split(".", _MAX_DEPTH)
        for depth in range(len(path)):
            children.setdefault(".".join(path[:depth]), {})[".".join(path[: depth + 1])] = None

    def module(name: str) -> Module:
        return Module(name, "Module", tuple(module(child) for child in children.get(name, ()) if child != name))

    return module("")


def flat(tree: Module, form: Callable[[Module], Form | None]) -> tuple[Item, ...]:
    """Return every layer of a tree in order of registration."""
    return tuple(_leaves(tree, form))


def blocks(tree: Module, form: Callable[[Module], Form | None]) -> tuple[Item, ...]:
    """Return a tree as a list of layers and blocks of layers: two levels, however deep it was (DPIAT).

    A module becomes a block; one with fewer than two layers that have inputs dissolves in what holds it, and a module
    with more single layers than blocks loses the blocks within it.
    """
    part = _standardise(tree, form, 0).content
    return (part,) if isinstance(part, Item) else part


@dataclass(frozen=True)
class _Part:
    """A standardised module: one item or a list of them, how deep it nests, and its layers that have inputs."""

    content: Item | tuple[Item, ...]
    depth: int
    num_with_inputs: int


def _standardise(module: Module, form: Callable[[Module], Form | None], level: int) -> _Part:
    own = form(module)
    if own is not None:
        return _Part(Item(module.name, own), 0, int(own.has_inputs))
    items: list[Item] = []
    num_with_inputs = 0
    for child in module.children:
        part = _standardise(child, form, level if len(module.children) == 1 else level + 1)
        num_with_inputs += part.num_with_inputs
        if isinstance(part.content, Item):
            items.append(part.content)
        elif part.depth > 1 or part.num_with_inputs < 2:
            items += part.content
        else:
            items.append(Item(child.name, None, part.content))
    num_blocks = sum(bool(item.items) for item in items)
    depth = 2
    if len(items) - num_blocks > num_blocks and level > 0:
        items = [inner for item in items for inner in item.items or (item,)]
        depth = 1
    if not items:
        return _Part(Item(module.name, None), 0, num_with_inputs)
    if len(items) > 1:
        return _Part(tuple(items), depth, num_with_inputs)
    return _Part(items[0].items or items[0], 1, num_with_inputs)


def _leaves(module: Module, form: Callable[[Module], Form | None]) -> Iterator[Item]:
    own = form(module)
    if own is not None or not module.children:
        yield Item(module.name, own)
    else:
        for child in module.children:
            yield from _leaves(child, form)

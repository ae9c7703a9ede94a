"""Layers as a tree of modules in which equal neighbours are one: `layer3.1-5` instead of five times the same rows."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tlvcli.pipelines.inspection.content import InspectedLayer, InspectedTensor

_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Node:
    """A module: the layer that carries its name, if any, and what lies below it, in order."""

    name: str
    layer: InspectedLayer | None = None
    children: tuple[Node, ...] = ()
    times: int = 1

    @property
    def parameters(self) -> int:
        """Parameters of this node and all below it, of all its repetitions."""
        own = self.layer.parameters if self.layer else 0
        return self.times * (own + sum(child.parameters for child in self.children))

    @property
    def bytes(self) -> int:
        """Bytes of this node and all below it, of all its repetitions."""
        own = self.layer.bytes if self.layer else 0
        return self.times * (own + sum(child.bytes for child in self.children))

    def layers(self) -> Iterator[InspectedLayer]:
        """Yield the layers here and below, repetitions once."""
        if self.layer:
            yield self.layer
        for child in self.children:
            yield from child.layers()

    @property
    def tensors(self) -> tuple[InspectedTensor, ...]:
        """The tensors of the node's own layer."""
        return tuple(self.layer.tensors) if self.layer else ()


@dataclass(frozen=True)
class TreeRow:
    """One line: a module with its sums, or a layer; `level` is how far it is indented."""

    node: Node
    level: int
    is_module: bool


@dataclass
class _Growing:
    layer: InspectedLayer | None = None
    children: dict[str, _Growing] = field(default_factory=dict)


def tree_rows(layers: Iterable[InspectedLayer], depth: int | None) -> Iterator[TreeRow]:
    """Yield the rows of the folded tree; `depth` counts the dotted parts of a name, deeper ones are summed up."""
    for child in _merge(_grow(layers)).children:
        yield from _rows(child, 0, depth)


def _grow(layers: Iterable[InspectedLayer]) -> Node:
    root = _Growing()
    for layer in layers:
        if not layer.name:
            # Tensors of the top level stand alone; their key cannot be that of a module, which has no dot.
            root.children.update((f".{tensor.name}", _Growing(_alone(layer, tensor))) for tensor in layer.tensors)
            continue
        place = root
        for part in layer.name.split("."):
            place = place.children.setdefault(part, _Growing())
        place.layer = layer
    return _settle("", root)


def _alone(layer: InspectedLayer, tensor: InspectedTensor) -> InspectedLayer:
    sums = {"parameters": tensor.parameters, "buffers": tensor.buffers, "bytes": tensor.bytes}
    return layer.model_copy(update={"tensors": [tensor], **sums})


def _settle(name: str, growing: _Growing) -> Node:
    children = tuple(_settle(part.removeprefix("."), child) for part, child in growing.children.items())
    return Node(name, growing.layer, children)


def _merge(node: Node) -> Node:
    """Return the tree with equal numbered neighbours as one node."""
    children: list[Node] = []
    for run in _runs([_merge(child) for child in node.children]):
        number = _numbered(run[-1].name)
        name = run[0].name if len(run) == 1 or number is None else f"{run[0].name}-{number[1]}"
        children.append(replace(run[0], name=name, times=len(run)))
    return replace(node, children=tuple(children))


def _runs(nodes: Sequence[Node]) -> Iterator[list[Node]]:
    """Yield neighbours that differ in nothing but a consecutive number at the end of their names."""
    run: list[Node] = []
    for node in nodes:
        if run and not (_follows(run[-1].name, node.name) and _structure(run[-1]) == _structure(node)):
            yield run
            run = []
        run.append(node)
    if run:
        yield run


def _numbered(name: str) -> tuple[str, int] | None:
    match = _NUMBERED.fullmatch(name)
    return (match[1], int(match[2])) if match and len(match[2]) < 10 else None


def _follows(before: str, after: str) -> bool:
    first, second = _numbered(before), _numbered(after)
    return first is not None and second is not None and second == (first[0], first[1] + 1)


def _structure(node: Node) -> tuple[Any, ...]:
    prefix = len(node.layer.name) if node.layer else 0
    own = tuple((tensor.name[prefix:], tensor.shape, tensor.dtype) for tensor in node.tensors)
    return own, tuple((child.name, child.times, _structure(child)) for child in node.children)


def _rows(node: Node, level: int, depth: int | None) -> Iterator[TreeRow]:
    left = None if depth is None else depth - 1
    # A module that holds nothing but one other needs no line of its own.
    while len(node.children) == 1 and node.layer is None and left != 0:
        (only,) = node.children
        node = replace(only, name=f"{node.name}.{only.name}", times=node.times * only.times)
        left = None if left is None else left - 1
    yield TreeRow(node, level, is_module=bool(node.children))
    if left != 0:
        for child in node.children:
            yield from _rows(child, level + 1, left)

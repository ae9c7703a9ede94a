"""A network as a strategy sees it: values, no tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass

from tlvcli.core.graph import Module
from tlvcli.methods.finetuning.units import Unit


@dataclass(frozen=True)
class Network:
    """What a strategy decides by.

    Args:
        dimensions: number of dimensions of every parameter, in the network's order.
        tree: the modules.
        head: tensors whose shape follows the number of classes; where none does, those of the last unit.
        fresh: tensors that know nothing, as a head of another size.
        units: from input to output, the classifier last.
    """

    dimensions: Mapping[str, int]
    tree: Module
    head: Set[str]
    fresh: Set[str]
    units: tuple[Unit, ...]


def modules_without(trained: Set[str], module: Module) -> Iterator[str]:
    """Yield the largest modules below `module` in which no trained parameter lies, dropout among them."""
    for child in module.children:
        if any(name.startswith(f"{child.name}.") for name in trained):
            yield from modules_without(trained, child)
        else:
            yield child.name

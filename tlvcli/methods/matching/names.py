"""Matching by name, within a family of architectures: `layer3.4.conv1` takes `layer3.4.conv1`."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import torch

from tlvcli.core.graph import ModelGraph, TensorSpec

_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
NUMBERED = re.compile(r"(.*?)(\d+)$")


def learned_tensors(graph: ModelGraph) -> list[TensorSpec]:
    """Return parameters and the statistics of batch normalisation: not what the architecture computes by itself."""
    return [t for t in graph.tensors() if t.name not in graph.buffers or t.suffix in _STATISTICS]


def evenly_spaced(num_source: int, num_target: int) -> torch.Tensor:
    """Return `num_target` of `num_source` positions [num_target]: every n-th where that works out, else rounded."""
    if num_source % num_target == 0:
        return torch.arange(0, num_source, num_source // num_target)
    return torch.linspace(0, num_source - 1, num_target, dtype=torch.float64).round().long()


def match_names(
    source: Collection[str], target: Collection[str], *, depth: Literal["first", "uniform"]
) -> Mapping[str, str]:
    """Return the source tensor of each target tensor that has one, in the target's order.

    With `uniform` depth the numbered blocks of a stage take evenly spaced blocks of a deeper stage, else the
    first ones.
    """
    known = set(source)
    if depth == "first":
        return {name: name for name in target if name in known}
    spaced = _spaced_numbers(*(numbers_behind(name.split(".")[:-1] for name in names) for names in (source, target)))
    pairs = {name: _renumber(name, spaced) for name in target}
    return {name: other for name, other in pairs.items() if other in known}


def numbers_behind(paths: Iterable[Sequence[str]]) -> dict[str, list[int]]:
    """Return the numbers that stand behind each prefix: {`layer3.`: [0, 1, 2], `layer`: [1, 2, 3, 4]}."""
    found: dict[str, set[int]] = {}
    for parts in paths:
        prefix = ""
        for part in parts:
            numbered = NUMBERED.match(part)
            if numbered:
                found.setdefault(prefix + numbered[1], set()).add(int(numbered[2]))
            prefix += f"{part}."
    return {prefix: sorted(numbers) for prefix, numbers in found.items()}


def _spaced_numbers(source: Mapping[str, list[int]], target: Mapping[str, list[int]]) -> dict[str, str]:
    """Return for prefix and number in the target the source's number, where the source has more of them."""
    spaced: dict[str, str] = {}
    for prefix, numbers in target.items():
        deeper = source.get(prefix, [])
        if len(deeper) > len(numbers):
            chosen = _first_to_last(len(deeper), len(numbers))
            spaced.update((f"{prefix}{own}", f"{deeper[index]}") for own, index in zip(numbers, chosen, strict=True))
    return spaced


def _first_to_last(num_source: int, num_target: int) -> list[int]:
    """Return `num_target` of `num_source` positions from the first to the last."""
    return [round(index * (num_source - 1) / max(1, num_target - 1)) for index in range(num_target)]


def _renumber(name: str, spaced: Mapping[str, str]) -> str:
    prefix, parts = "", name.split(".")
    renamed = []
    for part in parts[:-1]:
        numbered = NUMBERED.match(part)
        number = spaced.get(prefix + part) if numbered else None
        renamed.append(f"{numbered[1]}{number}" if numbered and number is not None else part)
        prefix += f"{part}."
    return ".".join([*renamed, parts[-1]])

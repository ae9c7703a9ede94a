"""What of a file is not taken, weighed, so that nothing is lost without a word."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError
from tlvcli.io.inert import Inert

if TYPE_CHECKING:
    from torch import Tensor


_MOST_CHARACTERS = 60
_MOST_ENTRIES = 4
# Of a pickle, mappings are dicts or descend from them.
_CONTAINERS = (dict, list, tuple, set)
# One value counts in each entry that leads to it, so a small pickle can hold any number.
MAX_VALUES = 1_000_000


@dataclass(frozen=True)
class LeftOut:
    """An entry beside the tensors that were taken; `num_bytes` are elements times the bytes of one.

    `holds` says what it is in words, of a number or a short text its value. No tensors in it means that it is
    something else: a number, a text, a list of them.
    """

    name: str
    num_tensors: int
    num_bytes: int
    holds: str = "tensor"


def weigh_all(path: Path, entries: Iterable[tuple[str, object]]) -> tuple[LeftOut, ...]:
    """Return for each entry how many tensors lie in it, in however many mappings and lists, and their bytes.

    Raises:
        TlvError: `checkpoint-unsupported` where the entries share so much that looking into each takes too long.
    """
    from torch import Tensor

    weighed: list[LeftOut] = []
    num_seen = 0
    for name, value in entries:
        tensors: list[Tensor] = []
        for values in _walk(value):
            num_seen += len(values)
            if num_seen > MAX_VALUES:
                raise TlvError(
                    "checkpoint-unsupported",
                    f"{path} holds more than {MAX_VALUES} values beside its tensors, {name} among them",
                    "save the state_dict alone",
                )
            tensors += [inner for inner in values if isinstance(inner, Tensor)]
        num_bytes = sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in tensors)
        weighed.append(LeftOut(name, len(tensors), num_bytes, _say(value)))
    return tuple(weighed)


def _say(value: object) -> str:
    from torch import Tensor, strided

    if isinstance(value, Tensor):
        shape = "x".join(map(str, value.shape))
        is_number = not shape and value.layout == strided and not value.is_meta
        return _say(Tensor.item(value)) if is_number else f"tensor {shape}".rstrip()
    if isinstance(value, Inert):
        return f"settings {_entries(value.state)}" if value.state else "an object, not looked into"
    if isinstance(value, Mapping):
        if "param_groups" in value and "state" in value:
            return _say_optimizer(value["param_groups"])
        return _entries(value) if value else "an empty mapping"
    if isinstance(value, (list, tuple, set, frozenset)):
        return f"{len(value)} items"
    return _cut(str(value)) if value is None or isinstance(value, (bool, int, float, str)) else type(value).__name__


def _say_optimizer(groups: object) -> str:
    group = groups[0] if isinstance(groups, list) and groups and isinstance(groups[0], Mapping) else {}
    settings = {key: value for key, value in group.items() if key != "params" and isinstance(value, (int, float))}
    return f"state of an optimizer, {_entries(settings)}" if settings else "state of an optimizer"


def _entries(mapping: Mapping[Any, object]) -> str:
    shown = []
    for key, value in list(mapping.items())[:_MOST_ENTRIES]:
        is_plain = value is None or isinstance(value, (bool, int, float, str))
        shown.append(f"{_cut(str(key))}={_cut(str(value))}" if is_plain else _cut(str(key)))
    more = f" and {len(mapping) - _MOST_ENTRIES} more" if len(mapping) > _MOST_ENTRIES else ""
    return ", ".join(shown) + more


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_CHARACTERS else f"{text[: _MOST_CHARACTERS - 1]}…"


def _walk(value: object) -> Iterator[Collection[object]]:
    """Yield the value itself, then the values of every mapping, list, tuple and set in it, each of them once."""
    waiting: list[Collection[object]] = [(value,)]
    seen = set[int]()  # a pickle may hold itself
    while waiting:
        values = waiting.pop()
        yield values
        for inner in values:
            if isinstance(inner, _CONTAINERS) and id(inner) not in seen:
                seen.add(id(inner))
                waiting.append(inner.values() if isinstance(inner, dict) else inner)

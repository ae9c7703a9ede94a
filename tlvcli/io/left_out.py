"""What of a file is not taken, weighed, so that nothing is lost without a word."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlvcli.io.inert import Inert

if TYPE_CHECKING:
    from torch import Tensor


_MOST_CHARACTERS = 60
_MOST_ENTRIES = 4


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


def weigh(name: str, value: object) -> LeftOut:
    """Return how many tensors lie in `value`, in however many mappings and lists, and their bytes."""
    sizes = [tensor.numel() * tensor.element_size() for tensor in _tensors_in(value)]
    return LeftOut(name, len(sizes), sum(sizes), _say(value))


def _say(value: object) -> str:
    from torch import Tensor

    if isinstance(value, Tensor):
        shape = "x".join(map(str, value.shape))
        return f"tensor {shape}" if shape or value.is_meta else _say(value.item())
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


def _tensors_in(value: object) -> Iterator[Tensor]:
    from torch import Tensor

    waiting, seen = [value], set[int]()  # a pickle may hold itself
    while waiting:
        inner = waiting.pop()
        if isinstance(inner, Tensor):
            yield inner
        elif isinstance(inner, (Mapping, list, tuple, set)) and id(inner) not in seen:
            seen.add(id(inner))
            waiting.extend(inner.values() if isinstance(inner, Mapping) else inner)

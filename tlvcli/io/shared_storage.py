"""Which tensors of a pickle are one tensor under several names, as tied weights are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class SharedStorage:
    """Names whose elements overlap in memory, and the bytes that storing each by itself adds."""

    names: tuple[str, ...]
    extra_bytes: int


def find_shared(tensors: Mapping[str, Tensor]) -> tuple[SharedStorage, ...]:
    """Return the groups of overlapping tensors, in the order of their first names; all must be in memory at once.

    Slices of one storage that lie beside or between each other share nothing and are no group.
    """
    spans = sorted((*_span(tensor), name) for name, tensor in tensors.items() if tensor.numel())
    groups: list[list[str]] = []
    reached = 0
    for begin, end, name in spans:
        if begin >= reached:
            groups.append([])
        groups[-1].append(name)
        reached = max(reached, end)
    places = {name: place for place, name in enumerate(tensors)}
    ordered = [sorted(group, key=places.__getitem__) for group in groups if len(group) > 1]
    shared = [_compare({name: tensors[name] for name in group}) for group in ordered]
    return tuple(sorted((group for group in shared if group.names), key=lambda group: places[group.names[0]]))


def _span(tensor: Tensor) -> tuple[int, int]:
    """Return the addresses of the first byte and after the last one."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    begin = tensor.data_ptr()
    return begin, begin + (last + 1) * tensor.element_size()


def _compare(tensors: Mapping[str, Tensor]) -> SharedStorage:
    """Return those of `tensors` that have an element in common with another; all lie in one stretch of memory."""
    import torch

    sizes = {name: tensor.numel() * tensor.element_size() for name, tensor in tensors.items()}
    spans = {_span(tensor) for tensor in tensors.values()}
    begin, end = min(begin for begin, _ in spans), max(end for _, end in spans)
    if all(size == end - begin for size in sizes.values()):  # one dense tensor under all names, as usual
        return SharedStorage(tuple(tensors), sum(sizes.values()) - (end - begin))
    unit = min(tensor.element_size() for tensor in tensors.values())
    once, twice = (torch.zeros((end - begin) // unit, dtype=torch.bool) for _ in range(2))
    for tensor in tensors.values():
        window = _window(once, tensor, begin, unit)
        if _names_elements_twice(tensor):  # where torch writes nothing but a constant
            places = torch.unique(_window(torch.arange(len(once)), tensor, begin, unit))
            twice[places] |= once[places]
        else:
            _window(twice, tensor, begin, unit).logical_or_(window)
        window.fill_(True)
    names = tuple(name for name, tensor in tensors.items() if _window(twice, tensor, begin, unit).any())
    return SharedStorage(names, sum(sizes.values()) - int(once.sum()) * unit)


def _names_elements_twice(tensor: Tensor) -> bool:
    """Return whether one element may stand at several places, as in what `unfold` returns; expanded ones apart."""
    reached = 0
    for stride, size in sorted(zip(tensor.stride(), tensor.shape, strict=True)):
        if stride and size > 1:
            if stride <= reached:
                return True
            reached += (size - 1) * stride
    return False


def _window(marks: Tensor, tensor: Tensor, begin: int, unit: int) -> Tensor:
    """Return the marks of the `unit` bytes that make up a tensor; `marks` begin at the address `begin`."""
    width = tensor.element_size() // unit
    # An expanded dimension names the same elements again, and marking them once is enough.
    sizes = [size if stride else 1 for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]
    strides = [stride * width for stride in tensor.stride()]
    return marks.as_strided((*sizes, width), (*strides, 1), (tensor.data_ptr() - begin) // unit)

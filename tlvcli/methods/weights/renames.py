"""Which tensors of two checkpoints are the same bytes under another name."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tlvcli.core.graph import TensorSpec
from tlvcli.core.tensors import TensorSource


@dataclass(frozen=True)
class Rename:
    """A tensor's name in the reference, and now."""

    before: str
    after: str


@dataclass(frozen=True)
class PrefixChange:
    """What most renames have in common: names that began with `before` begin with `after`, `renames` of them."""

    before: str
    after: str
    renames: int


@dataclass(frozen=True)
class _Content:
    shape: tuple[int, ...]
    dtype: str
    sha256: str
    is_constant: bool


def find_renames(
    reference: TensorSource, removed: Sequence[TensorSpec], source: TensorSource, added: Sequence[TensorSpec]
) -> tuple[Rename, ...]:
    """Pair removed with added tensors of the same shape, dtype and bytes, in the order of `removed`.

    First what can be paired in one way only; then, where several tensors hold the same, what lies in a layer or
    below a prefix that was renamed already; then by order. A constant tensor tells nothing of where it came from,
    so it is paired by its layer or prefix only.
    """
    sorts = {(spec.shape, spec.dtype) for spec in removed} & {(spec.shape, spec.dtype) for spec in added}
    old = {spec.name: _content(reference, spec) for spec in removed if (spec.shape, spec.dtype) in sorts}
    new = {spec.name: _content(source, spec) for spec in added if (spec.shape, spec.dtype) in sorts}
    pairs: dict[str, str] = {}
    telling = {name: content for name, content in old.items() if not content.is_constant}
    number = Counter(old.values()), Counter(new.values())
    unique = {content: name for name, content in new.items() if number[1][content] == 1}
    pairs |= {
        name: unique[content] for name, content in telling.items() if number[0][content] == 1 and content in unique
    }
    _follow(pairs, old, new)
    for name, content in telling.items():
        left = (candidate for candidate, other in new.items() if other == content and candidate not in pairs.values())
        after = None if name in pairs else next(left, None)
        if after is not None:
            pairs[name] = after
    _follow(pairs, old, new)
    return tuple(Rename(name, pairs[name]) for name in old if name in pairs)


def find_prefix_change(renames: Iterable[Rename]) -> PrefixChange | None:
    """Return the change of prefix that at least two renames and at least half of all share."""
    all_renames = tuple(renames)
    changes = Counter(_split(rename) for rename in all_renames)
    (before, after), number = changes.most_common(1)[0] if changes else (("", ""), 0)
    return PrefixChange(before, after, number) if number >= 2 and 2 * number >= len(all_renames) else None


def _follow(pairs: dict[str, str], old: dict[str, _Content], new: dict[str, _Content]) -> None:
    """Add to `pairs` what lies where the pairs so far lead, by layer and by prefix, and holds the same."""
    change = find_prefix_change(Rename(*pair) for pair in pairs.items())
    layers = {before.rpartition(".")[0]: after.rpartition(".")[0] for before, after in pairs.items()}
    taken = set(pairs.values())
    for name, content in old.items():
        layer, _, suffix = name.rpartition(".")
        places = [f"{layers[layer]}.{suffix}".lstrip(".")] if layer in layers else []
        if change and name.startswith(change.before):
            places.append(change.after + name[len(change.before) :])
        for place in places:
            if name not in pairs and place not in taken and new.get(place) == content:
                pairs[name] = place
                taken.add(place)


def _split(rename: Rename) -> tuple[str, str]:
    """Return what is left of both names without the parts, between dots, on which their ends agree."""
    before, after = rename.before.split("."), rename.after.split(".")
    while before and after and before[-1] == after[-1]:
        before.pop()
        after.pop()
    return "".join(f"{part}." for part in before), "".join(f"{part}." for part in after)


def _content(source: TensorSource, spec: TensorSpec) -> _Content:
    raw = source.read_bytes(spec.name)
    item = len(raw) // max(1, spec.num_elements)
    # Equal to itself one element on: all elements are the same.
    is_constant = spec.num_elements < 2 or (raw[:item] == raw[-item:] and raw[item:] == raw[:-item])
    return _Content(spec.shape, spec.dtype, hashlib.sha256(raw).hexdigest(), is_constant)

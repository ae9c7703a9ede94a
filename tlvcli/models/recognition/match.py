"""Architectures whose trunk a set of tensors holds, and what became of their stems and heads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from tlvcli.models.recognition.fingerprint import Fingerprints
from tlvcli.models.recognition.index import Family, Part, Role, Sums, add_up

# `cut`: only the tensors that go with classes or channels are missing.
State = Literal["intact", "replaced", "cut", "absent"]


@dataclass(frozen=True)
class PartMatch:
    """What became of one part; `size` is its number of classes or input channels, None where it does not say."""

    part: Part
    state: State
    size: int | None

    @property
    def is_auxiliary(self) -> bool:
        """Whether this is a head that only training looks at; networks are often built without it."""
        return self.part.role == "head" and self.part.module.casefold().startswith("aux")


@dataclass(frozen=True)
class Match:
    """Architectures, canonical name first, whose trunk is there whole, and their parts, stems before heads."""

    names: tuple[str, ...]
    parts: tuple[PartMatch, ...]

    @property
    def num_deviations(self) -> int:
        """Number of parts that are not as the builder makes them."""
        return sum(part.state != "intact" for part in self.parts)

    @property
    def is_complete(self) -> bool:
        """Whether all parts are as the builder makes them, but for auxiliary heads that are left out."""
        return all(part.state == "intact" or (part.is_auxiliary and part.state == "absent") for part in self.parts)

    def size(self, role: Role) -> int | None:
        """Return the number of classes or channels; the last head is the main one."""
        sizes = [part.size for part in self.parts if part.part.role == role and part.size is not None]
        return sizes[-1] if sizes else None


def find_matches(found: Fingerprints, families: Iterable[Family]) -> Iterator[Match]:
    """Yield every architecture of `families` whose trunk is exactly what `found` holds outside its parts."""
    for family in families:
        entries = family.entries.get(found.without(part.module for part in family.parts), ())
        for entry in entries:
            parts = tuple(_match_part(found, *pair) for pair in zip(family.parts, entry.parts, strict=True))
            yield Match(entry.names, _agree_on_size(_agree_on_size(parts, "head"), "stem"))


def _match_part(found: Fingerprints, part: Part, wanted: Sums) -> PartMatch:
    names = found.below.get(part.module, ())
    if not names:
        return PartMatch(part, "absent", None)
    sums = add_up(found, part)
    sizes = {
        found.shapes[name][part.dimension] / multiple
        for name, multiple in part.open.items()
        if name in names and len(found.shapes[name]) > part.dimension
    }
    if sums == wanted and len(sizes) == 1:
        size = sizes.pop()
        if size.is_integer():
            return PartMatch(part, "intact", int(size))
    if sums.fixed == wanted.fixed and not any(name in names for name in part.open):
        return PartMatch(part, "cut", None)
    return PartMatch(part, "replaced", _size_of_replaced(found, part, names))


def _size_of_replaced(found: Fingerprints, part: Part, names: Iterable[str]) -> int | None:
    """Return the outputs of the last weight of a new head, or the inputs of the first weight of a new stem."""
    weights = [found.shapes[name] for name in names if len(found.shapes[name]) >= 2]
    if not weights:
        return None
    return weights[-1][0] if part.role == "head" else weights[0][1]


def _agree_on_size(parts: tuple[PartMatch, ...], role: Role) -> tuple[PartMatch, ...]:
    """Call those parts replaced that are whole, but of another number of classes or channels than the main one."""
    whole = [part for part in parts if part.part.role == role and part.state == "intact"]
    main = whole[-1].size if whole else None
    return tuple(replace(part, state="replaced") if part in whole and part.size != main else part for part in parts)

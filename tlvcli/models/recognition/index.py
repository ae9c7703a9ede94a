"""The shipped index of architectures: sums of fingerprints, and where stem and head lie.

A family is a block of lines. Its first lines name its parts: the modules of the stem, whose tensors' second dimension
is the number of input channels (or a multiple, written `*16`), and those of the head, whose tensors' first dimension is
the number of classes. Each further line is an architecture: the sum of its trunk (everything outside the parts), for
every part the sum of its fixed tensors and that of its open ones with the open dimension left out, then the names of
all builders with these tensors:

    stem conv1 conv1.weight
    head fc fc.weight fc.bias
    6ad1... 0:52fe... 0:9b07... resnet18
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal, get_args

from tlvcli.models.recognition.fingerprint import Fingerprints, add, fingerprint

Library = Literal["torchvision", "timm"]
Role = Literal["stem", "head"]
_OPEN = -1


@dataclass(frozen=True)
class Part:
    """A module of the stem or head, and its open tensors with the multiple that their open dimension is."""

    role: Role
    module: str
    open: Mapping[str, int]

    @property
    def dimension(self) -> int:
        """The open dimension: input channels of a stem's tensors, classes of a head's."""
        return 1 if self.role == "stem" else 0


@dataclass(frozen=True)
class Sums:
    """What the tensors of a part add up to."""

    fixed: int
    open: int


@dataclass(frozen=True)
class Entry:
    """The sums of an architecture's parts, and the builders that make it; the canonical name comes first."""

    parts: tuple[Sums, ...]
    names: tuple[str, ...]


@dataclass(frozen=True)
class Family:
    """Architectures with the same parts, by the sum of their trunks."""

    parts: tuple[Part, ...]
    entries: Mapping[int, tuple[Entry, ...]]


def add_up(found: Fingerprints, part: Part) -> Sums:
    """Return the sums of the tensors that are below a part's module."""
    names = found.below.get(part.module, ())
    return Sums(
        fixed=add(found.values[name] for name in names if name not in part.open),
        open=add(fingerprint(name, _opened(found.shapes[name], part.dimension)) for name in names if name in part.open),
    )


def _opened(shape: tuple[int, ...], dimension: int) -> tuple[int, ...]:
    return tuple(_OPEN if place == dimension else size for place, size in enumerate(shape))


@cache
def load_index(library: Library) -> tuple[Family, ...]:
    """Read the part of the index that covers one library."""
    text = resources.files(__package__).joinpath(f"{library}.txt").read_text(encoding="utf-8")
    return tuple(_parse_family(block.splitlines()) for block in text.split("\n\n"))


def known_names(library: Library) -> Iterator[str]:
    """Yield every architecture in the index."""
    for family in load_index(library):
        for entries in family.entries.values():
            for entry in entries:
                yield from entry.names


def _parse_family(lines: Iterable[str]) -> Family:
    parts: list[Part] = []
    entries: dict[int, tuple[Entry, ...]] = {}
    for line in lines:
        first, *rest = line.split()
        if first in get_args(Role):
            parts.append(Part("stem" if first == "stem" else "head", rest[0], dict(map(_parse_open, rest[1:]))))
            continue
        sums = tuple(Sums(*(int(number, 16) for number in text.split(":"))) for text in rest[: len(parts)])
        trunk = int(first, 16)
        entries[trunk] = (*entries.get(trunk, ()), Entry(sums, tuple(rest[len(parts) :])))
    return Family(tuple(parts), entries)


def _parse_open(text: str) -> tuple[str, int]:
    name, _, multiple = text.partition("*")
    return name, int(multiple or 1)


def format_index(families: Iterable[Family]) -> str:
    """Return the text that `load_index` reads."""
    return "\n\n".join("\n".join(_format_family(family)) for family in families) + "\n"


def _format_family(family: Family) -> Iterator[str]:
    for part in family.parts:
        opened = (name if multiple == 1 else f"{name}*{multiple}" for name, multiple in part.open.items())
        yield " ".join([part.role, part.module, *opened])
    for trunk, entries in family.entries.items():
        for entry in entries:
            sums = (f"{each.fixed:x}:{each.open:x}" for each in entry.parts)
            yield " ".join([f"{trunk:x}", *sums, *entry.names])

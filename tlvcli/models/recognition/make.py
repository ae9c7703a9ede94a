"""How the shipped index and catalogue are made, from skeletons of every builder; only `make docs` and tests need it."""

from __future__ import annotations

import lzma
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build_skeleton
from tlvcli.models.recognition.catalogue import CHANNELS, CLASSES, Template, format_catalogue
from tlvcli.models.recognition.fingerprint import Shape, take_fingerprints
from tlvcli.models.recognition.index import Entry, Family, Part, Role, add_up

_USUAL = {"num_classes": 1000, "in_chans": 3}
_OTHER = {"num_classes": 10, "in_chans": 4}


@dataclass(frozen=True)
class Skeleton:
    """An architecture's tensors in the order of its state_dict, and which of their dimensions are open."""

    name: str
    shapes: Mapping[str, Shape]
    multiples: Mapping[Role, Mapping[str, int]]


def read_skeleton(name: str) -> Skeleton:
    """Build an architecture twice, and see which dimensions go with the classes and which with the channels.

    Raises:
        TlvError: the builder does not work.
    """
    usual = build_shapes(name, **_USUAL)
    try:
        other = build_shapes(name, **_OTHER)
    except TlvError:  # a few take no other number of channels
        other = build_shapes(name, **{**_OTHER, "in_chans": _USUAL["in_chans"]})
    return find_open(name, usual, other)


def build_shapes(name: str, *, num_classes: int, in_chans: int) -> dict[str, Shape]:
    """Return the shapes of an architecture's tensors, in the order of its state_dict.

    Raises:
        TlvError: the builder does not work.
    """
    import torch

    architecture = Architecture(name=name, num_classes=num_classes, in_chans=in_chans)
    # Past the cache: nobody asks again, and a thousand skeletons fill the memory.
    make = partial(build_skeleton.__wrapped__, architecture)
    try:
        module = make()
    except TlvError:
        with torch.device("meta"):  # some of timm's run a part of themselves while they are built
            module = make()
    return {tensor: tuple(value.shape) for tensor, value in module.state_dict().items()}


def find_open(name: str, usual: Mapping[str, Shape], other: Mapping[str, Shape]) -> Skeleton:
    """Compare an architecture of 1000 classes and 3 channels with that of 10 and 4: what changed is open."""
    stems, heads = {}, {}
    for tensor, shape in usual.items():
        changed = [place for place, size in enumerate(shape) if size != other[tensor][place]]
        if not changed:
            continue
        assert changed in ([0], [1]), f"{name}: {tensor} is open in an unknown way"
        if changed == [0]:
            assert (shape[0], other[tensor][0]) == (_USUAL["num_classes"], _OTHER["num_classes"]), f"{name}: {tensor}"
            heads[tensor] = 1
        else:
            stems[tensor] = other[tensor][1] - shape[1]
            assert shape[1] == stems[tensor] * _USUAL["in_chans"], f"{name}: {tensor}"
    return Skeleton(name, usual, {"stem": stems, "head": heads})


def make_catalogue(skeletons: Iterable[Skeleton]) -> str:
    """Return the text of the catalogue."""
    return format_catalogue({skeleton.name: _templates(skeleton) for skeleton in skeletons})


def compress(catalogue: str) -> bytes:
    """Return the catalogue as it ships."""
    return lzma.compress(catalogue.encode(), preset=9)


def _templates(skeleton: Skeleton) -> dict[str, Template]:
    def template(tensor: str, shape: Shape) -> Template:
        if tensor in skeleton.multiples["head"]:
            return (CLASSES, *shape[1:])
        if tensor in skeleton.multiples["stem"]:
            return (shape[0], CHANNELS, *shape[2:])
        return shape

    return {tensor: template(tensor, shape) for tensor, shape in skeleton.shapes.items()}


def make_index(skeletons: Iterable[Skeleton]) -> tuple[Family, ...]:
    """Return the index of these architectures, families and trunks in a fixed order."""
    families: dict[str, tuple[tuple[Part, ...], dict[int, dict[Entry, list[str]]]]] = {}
    for skeleton in skeletons:
        found = take_fingerprints(skeleton.shapes)
        parts = _parts(skeleton)
        trunk = found.without(part.module for part in parts)
        _, trunks = families.setdefault(repr(parts), (parts, {}))
        entry = Entry(tuple(add_up(found, part) for part in parts), ())
        trunks.setdefault(trunk, {}).setdefault(entry, []).append(skeleton.name)
    return tuple(
        Family(parts, {trunk: _named(entries) for trunk, entries in sorted(trunks.items(), key=_first_name)})
        for _, (parts, trunks) in sorted(families.items())
    )


def _first_name(item: tuple[int, Mapping[Entry, list[str]]]) -> str:
    return min(min(names) for names in item[1].values())


def _named(entries: Mapping[Entry, list[str]]) -> tuple[Entry, ...]:
    # The shortest name is the plainest: vit_base_patch16_224 before its thirty relatives.
    return tuple(
        Entry(entry.parts, tuple(sorted(names, key=lambda name: (len(name), name))))
        for entry, names in sorted(entries.items(), key=lambda item: min(item[1]))
    )


def _parts(skeleton: Skeleton) -> tuple[Part, ...]:
    parts = []
    choices: dict[Role, Callable[[Skeleton, str], str]] = {"stem": _stem_module, "head": _head_module}
    for role, choose in choices.items():
        modules: dict[str, dict[str, int]] = {}
        for tensor, multiple in skeleton.multiples[role].items():
            modules.setdefault(choose(skeleton, tensor), {})[tensor] = multiple
        parts += [Part(role, module, opened) for module, opened in modules.items()]
    names = [part.module for part in parts]
    assert not any(one != other and f"{one}.".startswith(f"{other}.") for one in names for other in names), names
    return tuple(parts)


def _stem_module(skeleton: Skeleton, tensor: str) -> str:
    return tensor.rpartition(".")[0] or tensor


def _head_module(skeleton: Skeleton, tensor: str) -> str:
    """Return what is replaced as a whole: the top-level module of the tensor, unless it is most of the network."""
    top = tensor.partition(".")[0]
    num_below = sum(name.startswith(f"{top}.") for name in skeleton.shapes)
    return top if num_below < len(skeleton.shapes) / 2 else tensor.rpartition(".")[0]

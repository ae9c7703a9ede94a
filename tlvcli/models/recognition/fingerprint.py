"""Numbers that stand for tensors and add up: a set of tensors is the sum of its members, in any order.

To take tensors out of a set is to subtract, so one pass of hashing answers many questions of the kind "is this
known, but for its head?".
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Shape = tuple[int, ...]

_MODULUS = 1 << 64
COUNTER = "num_batches_tracked"


def fingerprint(name: str, shape: Shape) -> int:
    """Return 64 bits that stand for a tensor of this name and shape, the same on every machine."""
    text = f"{name} {','.join(map(str, shape))}"
    return int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "big")


def add(values: Iterable[int]) -> int:
    """Return the sum modulo 2^64."""
    return sum(values) % _MODULUS


@dataclass(frozen=True)
class Fingerprints:
    """Shapes and fingerprints of tensors by name, their sum, and the names below every module."""

    shapes: Mapping[str, Shape]
    values: Mapping[str, int]
    total: int
    below: Mapping[str, tuple[str, ...]]

    def without(self, modules: Iterable[str]) -> int:
        """Return the sum of all tensors that are below none of `modules`."""
        return (self.total - sum(self.values[name] for module in modules for name in self.below.get(module, ()))) % (
            _MODULUS
        )


def take_fingerprints(shapes: Mapping[str, Shape]) -> Fingerprints:
    """Return the fingerprints of tensors; counters of batches, which old files lack, are left out."""
    kept = {name: shape for name, shape in shapes.items() if not name.endswith(COUNTER)}
    values = {name: fingerprint(name, shape) for name, shape in kept.items()}
    below: dict[str, list[str]] = {}
    for name in kept:
        module = name
        while module:
            below.setdefault(module, []).append(name)
            module = module.rpartition(".")[0]
    return Fingerprints(kept, values, add(values.values()), {module: tuple(names) for module, names in below.items()})

"""The order of names in which `layer.10` follows `layer.9`, and a bias its weight, as in a state_dict."""

from __future__ import annotations

import re
from functools import lru_cache

_NUMBERS = re.compile(r"(\d+)", re.ASCII)

# What a layer holds itself comes before its submodules.
_SUFFIXES = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

NaturalKey = tuple[tuple[tuple[tuple[int, int, str], ...], ...], str]


def natural_key(name: str) -> NaturalKey:
    """Return a sort key: dotted part by dotted part, digits as numbers before letters; ties by the name.

    The suffixes of a layer's tensors come first, in the order that torch registers them in.
    """
    *modules, suffix = name.split(".")
    last = ((-1, _SUFFIXES.index(suffix), ""),) if suffix in _SUFFIXES else _part_key(suffix)
    return (*(_part_key(part) for part in modules), last), name


@lru_cache(maxsize=1 << 12)  # a name is made of few different parts: weight, conv1, 0
def _part_key(part: str) -> tuple[tuple[int, int, str], ...]:
    return tuple(_piece_key(piece) for piece in _NUMBERS.split(part) if piece)


def _piece_key(piece: str) -> tuple[int, int, str]:
    if piece[0] not in "0123456789":
        return 1, 0, piece
    digits = piece.lstrip("0")  # the longer number is the larger; Python refuses to read very long ones
    return 0, len(digits), digits

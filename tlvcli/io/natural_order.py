"""The order of names in which `layer.10` follows `layer.9`."""

from __future__ import annotations

import re

_NUMBERS = re.compile(r"(\d+)", re.ASCII)

NaturalKey = tuple[tuple[tuple[tuple[int, int, str], ...], ...], str]


def natural_key(name: str) -> NaturalKey:
    """Return a sort key: dotted part by dotted part, digits as numbers before letters; ties by the name."""
    return tuple(_part_key(part) for part in name.split(".")), name


def _part_key(part: str) -> tuple[tuple[int, int, str], ...]:
    pieces = (piece for piece in _NUMBERS.split(part) if piece)
    return tuple((0, int(piece), "") if piece[0] in "0123456789" else (1, 0, piece) for piece in pieces)

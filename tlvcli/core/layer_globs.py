"""Patterns over the dotted names of layers: `layer3`, `layer3.*`, `*.bn1`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from tlvcli.core.errors import TlvError, did_you_mean


def is_named(name: str, pattern: str) -> bool:
    """Return whether the pattern fits the whole name, or that of a module which the layer or tensor lies below."""
    parts = name.split(".")
    return any(fnmatchcase(".".join(parts[:length]), pattern) for length in range(1, len(parts) + 1))


def refuse_unknown(patterns: Iterable[str], names: Sequence[str]) -> None:
    """Raise `layers-unknown` for a pattern that fits none of the names."""
    for pattern in patterns:
        if not any(is_named(name, pattern) for name in names):
            hint = did_you_mean(pattern, list(names), listed_by="tlv inspect (of an architecture: ARCH@random)")
            raise TlvError("layers-unknown", f"no layer is called {pattern}", hint)

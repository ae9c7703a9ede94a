"""Numbers in sentences: `1 image`, `1,024 images`."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a count with thousands separators and its noun, which takes an s but after 1."""
    return f"{number:,} {noun if number == 1 else f'{noun}s'}"

"""Numbers in sentences: `1 image`, `1,024 images`, `0.4 a second`."""

from __future__ import annotations


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a count with thousands separators and its noun, which takes an s but after 1, or is its `plural`."""
    return f"{number:,} {noun if number == 1 else plural or f'{noun}s'}"


def rate(per_second: float) -> str:
    """Write how many a second: 1,250, or 0.4 where they are few."""
    return f"{per_second:,.0f}" if per_second >= 10 else f"{per_second:.1f}"

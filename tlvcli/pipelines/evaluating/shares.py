"""A share as users write it: 0.9 or 90%."""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation


def read_number(text: str) -> float | None:
    """Return a number, or a hundredth of one before a per cent sign; None where it is neither, or not finite."""
    digits, sign = text.removesuffix("%"), text.endswith("%")
    try:
        # In decimal: 93.39 / 100 in binary is not the 0.9339 that 9,339 of 10,000 images are.
        number = float(Decimal(digits) / (100 if sign else 1))
    except InvalidOperation:
        return None
    return number if math.isfinite(number) else None


def share_or_same(value: object) -> object:
    """Return the share that a text says, and all else as it is, for a field of numbers to judge.

    Raises:
        ValueError: above 1, where per cent may be meant.
    """
    number = read_number(value) if isinstance(value, str) else value
    if isinstance(number, (int, float)) and number > 1:
        raise ValueError("a share is at most 1, or 100%")
    return value if number is None else number

"""From values to places on an axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_ROUNDING = 1e-9


@dataclass(frozen=True)
class Scale:
    """Values from `low` to `high` lie from `start` to `end` pixels; what is beyond lies at the nearer end."""

    low: float
    high: float
    start: float
    end: float
    is_log: bool
    ticks: tuple[float, ...]

    def place(self, value: float) -> float:
        """Return the pixel of a value."""
        held = min(max(value, self.low), self.high)
        if self.is_log:
            share = math.log(held / self.low) / math.log(self.high / self.low)
        else:
            share = (held - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def make_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """Return a scale that holds all values: logarithmic where they are positive or zero and far apart.

    On a logarithmic one zeros lie at the lower end.
    """
    held = list(values)
    positive = [value for value in held if value > 0]
    if positive and min(held) >= 0 and max(positive) > 5 * min(positive):
        return _log_scale(min(positive), max(positive), start, end)
    return _linear_scale(min(0.0, *held), max(0.0, *held), start, end)


def linear_scale(values: Iterable[float], start: float, end: float) -> Scale:
    """Return a linear scale that ends on round numbers just beyond the values, and need not hold zero."""
    held = list(values)
    least, most = min(held), max(held)
    margin = 0.0 if least < most else 0.05 * abs(least) or 0.5
    return _linear_scale(least - margin, most + margin, start, end)


def _log_scale(least: float, most: float, start: float, end: float) -> Scale:
    margin = (most / least) ** 0.04
    low, high = least / margin, most * margin
    decades = math.log10(high / low)
    factors: Sequence[float] = (1, 2, 5) if decades < 2.5 else (1,)
    step = 1 if decades < 8 else math.ceil(decades / 6)
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1, step)
    ticks = (factor * 10.0**exponent for exponent in exponents for factor in factors)
    return Scale(low, high, start, end, True, tuple(tick for tick in ticks if low <= tick <= high))


def _linear_scale(least: float, most: float, start: float, end: float) -> Scale:
    span = most - least or 1.0
    power = 10.0 ** math.floor(math.log10(span))
    step = next(factor * power for factor in (0.2, 0.5, 1, 2) if span <= 6 * factor * power)
    # A value that is on a tick but for rounding needs no tick beyond it.
    first, last = math.floor(least / step + _ROUNDING), math.ceil((least + span) / step - _ROUNDING)
    ticks = tuple(number * step for number in range(first, last + 1))
    return Scale(ticks[0], ticks[-1], start, end, False, ticks)

"""Count, mean, spread and range of many values at once, exact enough to merge."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlvcli.methods.weights.values import decode, table_of_bytes

if TYPE_CHECKING:
    from numpy.typing import NDArray

# More threads only wait for memory, or for each other at the interpreter lock.
NUM_THREADS = min(4, os.cpu_count() or 1)

# Short enough that float32 adds up to 1e-6, and that BLAS does not wake threads of its own.
ROW = 4096
# Squares of float32 values outside would leave its range, or lose digits at its lower end.
_SAFE_PEAKS = (1e-15, 1e15)


@dataclass(frozen=True)
class Moments:
    """Of some values; mean, deviations and range are those of the finite ones, and 0 where there are none.

    Args:
        count: all values.
        nan: how many are NaN.
        infinite: how many are infinite.
        zeros: how many are 0 or -0.
        mean: of the finite values.
        squares: sum of the finite values' squared deviations from their mean.
        low: the smallest finite value.
        high: the largest finite value.
    """

    count: int = 0
    nan: int = 0
    infinite: int = 0
    zeros: int = 0
    mean: float = 0.0
    squares: float = 0.0
    low: float = math.inf
    high: float = -math.inf

    @property
    def finite(self) -> int:
        """Number of finite values."""
        return self.count - self.nan - self.infinite

    @property
    def std(self) -> float:
        """Spread of the finite values: the root of their mean squared deviation (divided by n, not n - 1)."""
        return math.sqrt(self.squares / self.finite) if self.finite else 0.0

    @property
    def root_mean_square(self) -> float:
        """Root of the mean square of the finite values."""
        return math.hypot(self.mean, self.std)

    def merge(self, other: Moments) -> Moments:
        """Return the moments of both sets of values together (Chan, Golub and LeVeque 1979)."""
        finite, distance = self.finite + other.finite, other.mean - self.mean
        share = other.finite / finite if finite else 0.0
        return Moments(
            count=self.count + other.count,
            nan=self.nan + other.nan,
            infinite=self.infinite + other.infinite,
            zeros=self.zeros + other.zeros,
            mean=self.mean + distance * share,
            squares=self.squares + other.squares + distance * distance * self.finite * share,
            low=min(self.low, other.low),
            high=max(self.high, other.high),
        )


def moments(elements: NDArray[Any], dtype: str) -> Moments:
    """Return the moments of stored elements (see `values.stored`); of complex numbers those of their magnitudes."""
    if elements.size == 0:
        return Moments()
    with np.errstate(all="ignore"):
        if elements.dtype.itemsize == 1:
            return _of_bytes(elements.view(np.uint8), table_of_bytes(dtype))
        values = decode(elements, dtype)
        if values.dtype.kind == "c":
            values = np.abs(values)
        elif values.dtype == np.float16:
            values = _widen(values)
        fast = _of_floats(values) if values.dtype == np.float32 else None
        return fast or _of_numbers(values)


def _of_floats(values: NDArray[np.float32]) -> Moments | None:
    """Four passes without a copy; None where float32 sums would be too coarse, or a value is not finite."""
    low, high = float(np.minimum.reduce(values)), float(np.maximum.reduce(values))
    if low == high and math.isfinite(low):
        return Moments(count=values.size, zeros=values.size if low == 0 else 0, mean=low, low=low, high=high)
    # NaN and infinity fail this comparison too.
    if not _SAFE_PEAKS[0] < max(-low, high) < _SAFE_PEAKS[1]:
        return None
    total, squares = _sums(values)
    mean = total / values.size
    variance = squares / values.size - mean * mean
    if variance < mean * mean:  # the difference has lost digits
        return None
    zeros = int(np.count_nonzero(values == 0)) if low <= 0 <= high else 0
    return Moments(count=values.size, zeros=zeros, mean=mean, squares=variance * values.size, low=low, high=high)


def _sums(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the sums of the values and of their squares: float32 within a row, float64 over the rows."""
    whole = values.size // ROW * ROW
    rows, rest = values[:whole].reshape(-1, ROW), values[whole:].astype(np.float64)
    columns = rows[:, :, None]
    # A product of row and column is a dot product to numpy; its sum() takes three times as long.
    totals = np.matmul(np.ones(ROW, dtype=np.float32), columns)
    squares = np.matmul(rows[:, None, :], columns)
    return (
        float(totals.sum(dtype=np.float64) + rest.sum()),
        float(squares.sum(dtype=np.float64) + np.square(rest).sum()),
    )


def _of_numbers(values: NDArray[Any]) -> Moments:
    """In float64, deviations from the mean itself; only for values that are few or unusual, as it copies."""
    nan, finite = 0, values
    if values.dtype.kind == "f":
        nan, is_finite = int(np.count_nonzero(np.isnan(values))), np.isfinite(values)
        finite = values if is_finite.all() else values[is_finite]
    common = {"count": values.size, "nan": nan, "infinite": values.size - nan - finite.size}
    if finite.size == 0:
        return Moments(**common)
    wide = finite.astype(np.float64)
    mean = float(wide.mean())
    zeros = int(np.count_nonzero(wide == 0))
    low, high = float(wide.min()), float(wide.max())
    wide -= mean
    return Moments(**common, zeros=zeros, mean=mean, squares=float(np.square(wide).sum()), low=low, high=high)


def _of_bytes(codes: NDArray[np.uint8], table: NDArray[np.float64]) -> Moments:
    """Every byte value counted once: exact, however many there are."""
    counts = np.bincount(codes, minlength=256)
    is_finite = (counts > 0) & np.isfinite(table)
    common = {
        "count": codes.size,
        "nan": int(counts[np.isnan(table)].sum()),
        "infinite": int(counts[np.isinf(table)].sum()),
    }
    if not is_finite.any():
        return Moments(**common)
    values, weights = table[is_finite], counts[is_finite]
    mean = float((values * weights).sum() / weights.sum())
    return Moments(
        **common,
        zeros=int(weights[values == 0].sum()),
        mean=mean,
        squares=float((np.square(values - mean) * weights).sum()),
        low=float(values.min()),
        high=float(values.max()),
    )


def _widen(values: NDArray[np.float16]) -> NDArray[np.float32]:
    """Return float32 by moving the bits, four times as fast as astype; infinities and NaN need astype still."""
    bits = values.view(np.int16).astype(np.int32)
    bits <<= 13
    bits &= ~0x70000000  # copies of the sign, where float32 has the rest of its exponent
    wide = bits.view(np.float32)
    wide *= np.float32(2.0**112)
    is_past = max(-np.minimum.reduce(wide), np.maximum.reduce(wide)) >= 65536
    return values.astype(np.float32) if is_past else wide

"""How far the values of one tensor are from those of another of the same shape."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np

from tlvcli.core.graph import TensorSpec
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.weights.moments import NUM_THREADS, ROW, moments
from tlvcli.methods.weights.values import decode, stored

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Several float64 copies of a chunk stay within the cache that cores share.
_CHUNK = 1 << 19


@dataclass(frozen=True)
class ValueDifference:
    """Reference r and value x, element by element; sums over the places where both are finite.

    Args:
        differing: places where |x - r| > atol + rtol |r|; NaN equals NaN and an infinity itself, else
            what is not finite differs; -0 equals 0.
        squares: sum of |x - r|^2.
        reference_squares: sum of |r|^2.
        value_squares: sum of |x|^2.
        product: sum of x r, the real part.
        largest: largest |x - r|.
    """

    differing: int = 0
    squares: float = 0.0
    reference_squares: float = 0.0
    value_squares: float = 0.0
    product: float = 0.0
    largest: float = 0.0

    def merge(self, other: ValueDifference) -> ValueDifference:
        """Return the difference of both pairs of pieces together."""
        return ValueDifference(
            self.differing + other.differing,
            self.squares + other.squares,
            self.reference_squares + other.reference_squares,
            self.value_squares + other.value_squares,
            self.product + other.product,
            max(self.largest, other.largest),
        )

    @property
    def relative_l2(self) -> float | None:
        """||x - r|| / ||r||; None where r is all zero."""
        return math.sqrt(self.squares / self.reference_squares) if self.reference_squares else None

    @property
    def cosine(self) -> float | None:
        """Cosine of the angle between x and r as vectors; None where one of them is all zero."""
        norms = math.sqrt(self.reference_squares) * math.sqrt(self.value_squares)
        # Rounding may lead a little past the end.
        return max(-1.0, min(1.0, self.product / norms)) if norms else None


def value_differences(
    reference: TensorSource,
    source: TensorSource,
    pairs: Iterable[tuple[TensorSpec, TensorSpec]],
    *,
    atol: float,
    rtol: float,
) -> Iterator[ValueDifference]:
    """Yield the difference of each pair of tensors, the reference's first; shapes agree, dtypes need not.

    One pair after the other is in memory, and compared in float64, piece by piece.
    """
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for before, after in pairs:
            assert before.shape == after.shape
            # Both views live until the end: a file's pages are given back when its view dies.
            raw = reference.read_bytes(before.name), source.read_bytes(after.name)
            r, x = stored(raw[0], before.dtype), stored(raw[1], after.dtype)
            parts = [
                pool.submit(_compare, r[at : at + _CHUNK], before.dtype, x[at : at + _CHUNK], after.dtype, atol, rtol)
                for at in range(0, after.num_elements, _CHUNK)
            ]
            yield reduce(ValueDifference.merge, (part.result() for part in parts), ValueDifference())


def _compare(
    before: NDArray[Any], before_dtype: str, after: NDArray[Any], after_dtype: str, atol: float, rtol: float
) -> ValueDifference:
    with np.errstate(all="ignore"):
        if before_dtype == after_dtype and np.array_equal(_bits(before), _bits(after)):
            same = moments(before, before_dtype)
            squares = same.squares + same.finite * same.mean * same.mean
            return ValueDifference(0, 0.0, squares, squares, squares)
        r, x = decode(before, before_dtype), decode(after, after_dtype)
        fast = None if atol or rtol else _of_finite_floats(r, x)
        return fast or _of_numbers(r, x, atol, rtol)


def _bits(elements: NDArray[Any]) -> NDArray[Any]:
    return elements.view("u1") if elements.dtype.kind == "c" else elements.view(f"u{elements.dtype.itemsize}")


def _of_finite_floats(r: NDArray[Any], x: NDArray[Any]) -> ValueDifference | None:
    """As `_of_numbers` without a tolerance, in few passes; None where something is not a finite float."""
    if r.dtype.kind != "f" or x.dtype.kind != "f":
        return None
    differing = int(np.count_nonzero(r != x))
    r, x = r.astype(np.float64), x.astype(np.float64)
    reference_squares, value_squares, product = _dot(r, r), _dot(x, x), _dot(x, r)
    x -= r
    squares = _dot(x, x)
    if not math.isfinite(reference_squares + value_squares + squares):
        return None
    largest = float(max(np.maximum.reduce(x), -np.minimum.reduce(x)))
    return ValueDifference(differing, squares, reference_squares, value_squares, product, largest)


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    whole = a.size // ROW * ROW
    # In rows, so that BLAS does not wake threads of its own.
    rows = np.matmul(a[:whole].reshape(-1, 1, ROW), b[:whole].reshape(-1, ROW, 1))
    return float(rows.sum() + (a[whole:] * b[whole:]).sum())


def _of_numbers(r: NDArray[Any], x: NDArray[Any], atol: float, rtol: float) -> ValueDifference:
    # In their own dtypes where both are integers: float64 would round beyond 2^53.
    unequal = (r != x) & ~((r != r) & (x != x))
    kind = np.complex128 if "c" in (r.dtype.kind, x.dtype.kind) else np.float64
    r, x = r.astype(kind), x.astype(kind)
    is_finite = np.isfinite(r) & np.isfinite(x)
    if not is_finite.all():
        beyond = int(np.count_nonzero(unequal & ~is_finite))
        r, x, unequal = r[is_finite], x[is_finite], unequal[is_finite]
    else:
        beyond = 0
    reference_squares = _squares(r)
    if not unequal.any():
        return ValueDifference(beyond, 0.0, reference_squares, reference_squares, reference_squares)
    distance = np.abs(x - r)
    if atol or rtol:
        unequal &= distance > atol + rtol * np.abs(r)
    return ValueDifference(
        differing=beyond + int(np.count_nonzero(unequal)),
        squares=_squares(distance),
        reference_squares=reference_squares,
        value_squares=_squares(x),
        product=float((x * r.conj()).real.sum()),
        largest=float(distance.max(initial=0.0)),
    )


def _squares(values: NDArray[Any]) -> float:
    return float(np.square(np.abs(values) if values.dtype.kind == "c" else values).sum())

"""How the values of one tensor are distributed, for a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tlvcli.core.tensors import TensorSource
from tlvcli.methods.weights.statistics import CHUNK
from tlvcli.methods.weights.values import decode, stored

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Histogram:
    """Counts of the finite values in bins of equal width; `edges` has one more entry than `counts`."""

    counts: tuple[int, ...]
    edges: tuple[float, ...]


def weight_histogram(source: TensorSource, name: str, bins: int = 64) -> Histogram | None:
    """Return the histogram of one tensor (of complex numbers, of their magnitudes); None without a finite value."""
    dtype = next(spec.dtype for spec in source.specs if spec.name == name)
    raw = source.read_bytes(name)  # kept: a file's pages are given back when its view dies
    elements = stored(raw, dtype)
    chunks = [elements[begin : begin + CHUNK] for begin in range(0, elements.size, CHUNK)]

    def finite(number: int) -> NDArray[np.float64]:
        values = decode(chunks[number], dtype)
        wide = (np.abs(values) if values.dtype.kind == "c" else values).astype(np.float64)
        kept: NDArray[np.float64] = wide[np.isfinite(wide)]
        return kept

    ranges = [(part.min(), part.max()) for part in map(finite, range(len(chunks))) if part.size]
    if not ranges:
        return None
    edges = np.histogram_bin_edges([min(low for low, _ in ranges), max(high for _, high in ranges)], bins)
    counts = sum((np.histogram(finite(number), edges)[0] for number in range(len(chunks))), np.zeros(bins, dtype=int))
    return Histogram(tuple(counts.tolist()), tuple(edges.tolist()))

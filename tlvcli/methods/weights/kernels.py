"""What the kernels of every layer are like, and how many directions they span; from the weights alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tlvcli.core.graph import Layer
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.weights.statistics import CHUNK, TensorStatistics, weight_statistics
from tlvcli.methods.weights.values import decode, stored
from tlvcli.models.graph import graph_of_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Elements of a row that tell nearly all rows apart.
_PREFIX = 8


@dataclass(frozen=True)
class Kernels:
    """The kernels of one layer: the rows of its weight as a matrix [out, in * kh * kw]; arrays are [out] float64.

    Args:
        layer: which layer.
        statistics: of the weight as a whole, with its dead kernels.
        variance: population variance of each kernel, by which TLV ranks them.
        l1: sum of magnitudes.
        l2: root of the sum of squares.
        copy_of: index of the first kernel with the same values, -1 where it is the first, or zero.
        singular_values: of the matrix, largest first; empty where a value is not finite.
    """

    layer: Layer
    statistics: TensorStatistics
    variance: NDArray[np.float64]
    l1: NDArray[np.float64]
    l2: NDArray[np.float64]
    copy_of: NDArray[np.int64]
    singular_values: NDArray[np.float64]

    @property
    def spectral_norm(self) -> float | None:
        """Largest singular value of the matrix; of a convolution, not its norm as a map between images."""
        return float(self.singular_values[0]) if self.singular_values.size else None

    @property
    def stable_rank(self) -> float | None:
        """Sum of squared singular values over the largest square (Rudelson and Vershynin 2007); None for zeros."""
        squares = np.square(self.singular_values)
        return float(squares.sum() / squares[0]) if squares.size and squares[0] > 0 else None

    @property
    def effective_rank(self) -> float | None:
        """Exponential of the entropy of the singular values over their sum (Roy and Vetterli 2007); None for zeros."""
        total = self.singular_values.sum()
        if not total > 0:
            return None
        shares = self.singular_values[self.singular_values > 0] / total
        return float(np.exp(-(shares * np.log(shares)).sum()))


def kernels_of_layers(source: TensorSource, names: Collection[str]) -> Iterator[Kernels]:
    """Yield the kernels of the named layers that have a floating weight of two dimensions or more, in order.

    In memory are the stored tensors of one layer, and in float64 the smaller of the two Gram matrices of its weight.
    """
    layers = {weight.name: layer for layer in graph_of_tensors(source.specs).layers if (weight := layer.find("weight"))}
    for statistics in weight_statistics(source):
        layer = layers.get(statistics.spec.name)
        if layer and layer.name in names and statistics.he_std is not None:
            yield _describe(source, layer, statistics)


def _describe(source: TensorSource, layer: Layer, statistics: TensorStatistics) -> Kernels:
    spec = statistics.spec
    elements = stored(source.read_bytes(spec.name), spec.dtype).reshape(spec.shape[0], -1)
    variance, l1, l2 = _of_rows(elements, spec.dtype)
    is_finite = statistics.moments.finite == statistics.moments.count
    return Kernels(
        layer=layer,
        statistics=statistics,
        variance=variance,
        l1=l1,
        l2=l2,
        copy_of=_copies(elements, is_zero=l1 == 0),
        singular_values=_singular_values(elements, spec.dtype) if is_finite else np.empty(0),
    )


def _of_rows(elements: NDArray[Any], dtype: str) -> tuple[NDArray[np.float64], ...]:
    """Return the population variance, the sum of magnitudes and the norm [out] of each row."""
    parts = []
    with np.errstate(all="ignore"):  # what is not finite in the file is not finite here, and said so
        for block in _blocks(elements, 0):
            rows = decode(block, dtype).astype(np.float64)
            parts.append((rows.var(axis=1), np.abs(rows).sum(axis=1), np.sqrt(np.einsum("ij,ij->i", rows, rows))))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))


def _blocks(elements: NDArray[Any], axis: int, *, size: int = 0) -> Iterator[NDArray[Any]]:
    """Yield a matrix in pieces of `size` elements, or of as few as are worth the while, that are widened one by one."""
    length = max(1, max(CHUNK, size) // elements.shape[1 - axis])
    for begin in range(0, elements.shape[axis], length):
        yield elements[begin : begin + length] if axis == 0 else elements[:, begin : begin + length]


def _copies(elements: NDArray[Any], *, is_zero: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return for every row of stored elements [out, width] the first row with the same bits, -1 for that one itself."""
    copy_of = np.full(len(elements), -1, dtype=np.int64)
    # Few rows begin alike: only these are compared, and copied for it, whole.
    _, group, sizes = np.unique(_wholes(elements[:, :_PREFIX]), return_inverse=True, return_counts=True)
    alike = np.flatnonzero((sizes[group.ravel()] > 1) & ~is_zero)
    if alike.size:
        _, first, group = np.unique(_wholes(elements[alike]), return_index=True, return_inverse=True)
        original = alike[first[group.ravel()]]
        copy_of[alike] = np.where(original == alike, -1, original)
    return copy_of


def _wholes(elements: NDArray[Any]) -> NDArray[Any]:
    """Return rows [out, width] as single values [out] that numpy can sort and compare by their bits."""
    row = np.dtype((np.void, elements.dtype.itemsize * elements.shape[1]))
    return np.ascontiguousarray(elements).view(row).ravel()


def _singular_values(elements: NDArray[Any], dtype: str) -> NDArray[np.float64]:
    """Return the singular values, largest first, of stored elements [out, width].

    From the smaller Gram matrix, many times as fast as a decomposition of the weight, and without a copy of it; values
    below some 1e-7 of the largest are rounding, and 0 here.
    """
    is_wide = elements.shape[0] <= elements.shape[1]
    gram = np.zeros((min(elements.shape), min(elements.shape)))
    for block in _blocks(elements, 1 if is_wide else 0, size=gram.size):  # adding to a large one takes time too
        part = decode(block, dtype).astype(np.float64)
        gram += part @ part.T if is_wide else part.T @ part
    eigenvalues = np.linalg.eigvalsh(gram)[::-1]
    rounding = eigenvalues[0] * np.finfo(np.float64).eps * len(eigenvalues)
    kept: NDArray[np.float64] = np.sqrt(np.where(eigenvalues > rounding, eigenvalues, 0.0))
    return kept

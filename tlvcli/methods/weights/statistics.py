"""Statistics of every tensor in one pass over a checkpoint, and the channels that do nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tlvcli.core.graph import TensorSpec
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.weights.moments import NUM_THREADS, Moments, moments
from tlvcli.methods.weights.values import decode, item_bytes, stored
from tlvcli.models.graph import graph_of_tensors

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Long enough that threads seldom meet at the interpreter lock, short enough for the cache that cores share.
CHUNK = 1 << 20

Channels = Literal["filter", "scale", "variance"]

_NORMALISES: dict[str, Channels] = {"weight": "scale", "running_var": "variance"}

# Trained networks leave a gap here: what weight decay has killed lies below, what works lies far above.
_DEAD_FILTER, _DEAD_SCALE = 0.1, 0.01
# Normalisations add 1e-5 to a variance by default: below this, a channel does not vary for them.
_DEAD_VARIANCE = 1e-10
# So few values may all be small by chance.
_SHORTEST_FILTER = 4


@dataclass(frozen=True)
class TensorStatistics:
    """One tensor: its moments, the spread it would start from, and which of its channels are dead.

    Args:
        he_std: sqrt(2 / fan-in), the spread of He's initialisation that preserves variance in the forward pass;
            None for what is no weight of two dimensions or more.
        channels: what the first dimension counts where dead channels were looked for: filters (also rows of a
            linear layer) whose largest weight is below 0.1 of the tensor's root mean square; scales of a
            normalisation below 0.01 of it; running variances below 1e-10.
        dead: their indices.
    """

    spec: TensorSpec
    moments: Moments
    he_std: float | None
    channels: Channels | None
    dead: tuple[int, ...]


def weight_statistics(source: TensorSource) -> Iterator[TensorStatistics]:
    """Yield the statistics of every tensor, in order; in memory are as many tensors as fit in the largest's place."""
    kinds = _kinds(source)
    with ThreadPoolExecutor(NUM_THREADS) as pool:
        for group in _groups(source.specs):
            yield from _of_group(source, group, kinds, pool)


def _of_group(
    source: TensorSource, group: list[TensorSpec], kinds: dict[str, Channels], pool: Executor
) -> list[TensorStatistics]:
    # The views, not only the arrays made from them: a file's pages are given back when its views die.
    raw = {spec.name: source.read_bytes(spec.name) for spec in group}
    elements = {spec.name: stored(raw[spec.name], spec.dtype) for spec in group}
    parts = {
        spec.name: [
            pool.submit(moments, elements[spec.name][begin : begin + CHUNK], spec.dtype)
            for begin in range(0, spec.num_elements, CHUNK)
        ]
        for spec in group
    }
    found = []
    for spec in group:
        whole = reduce(Moments.merge, (part.result() for part in parts[spec.name]), Moments())
        channels = kinds.get(spec.name)
        dead = _dead(elements[spec.name], spec, whole, channels) if channels else ()
        found.append(TensorStatistics(spec, whole, he_std(spec), channels, dead))
    return found


def _groups(specs: tuple[TensorSpec, ...]) -> Iterator[list[TensorSpec]]:
    """Yield runs of tensors that take no more memory together than the largest alone."""
    sizes = [spec.num_elements * item_bytes(spec.dtype) for spec in specs]
    largest = max(sizes, default=0)
    group: list[TensorSpec] = []
    total = 0
    for spec, size in zip(specs, sizes, strict=True):
        if group and total + size > largest:
            yield group
            group, total = [], 0
        group.append(spec)
        total += size
    if group:
        yield group


def he_std(spec: TensorSpec) -> float | None:
    """Return sqrt(2 / fan-in) for a floating weight of two dimensions or more, outputs first."""
    if not _is_filter(spec):
        return None
    return math.sqrt(2 / math.prod(spec.shape[1:]))


def _is_filter(spec: TensorSpec) -> bool:
    is_weight = spec.suffix.endswith("weight") and "float" in spec.dtype
    return is_weight and len(spec.shape) >= 2 and spec.num_elements > 0


def _kinds(source: TensorSource) -> dict[str, Channels]:
    kinds: dict[str, Channels] = {spec.name: "filter" for spec in source.specs if _is_filter(spec)}
    for layer in graph_of_tensors(source.specs).of_kind("batch-norm", "norm"):
        for spec in layer.tensors:
            if len(spec.shape) == 1 and "float" in spec.dtype and spec.suffix in _NORMALISES:
                kinds[spec.name] = _NORMALISES[spec.suffix]
    return kinds


def _dead(elements: NDArray[Any], spec: TensorSpec, whole: Moments, channels: Channels) -> tuple[int, ...]:
    if channels == "variance":
        # In float64: the threshold itself would be 0 in float16.
        return tuple(np.flatnonzero(decode(elements, spec.dtype).astype(np.float64) < _DEAD_VARIANCE).tolist())
    if channels == "scale":
        return _small_rows(elements.reshape(-1, 1), spec.dtype, _DEAD_SCALE * whole.root_mean_square)
    rows = elements.reshape(spec.shape[0], -1)
    if whole.zeros == spec.num_elements:
        return tuple(range(len(rows)))
    if rows.shape[1] < _SHORTEST_FILTER:
        return _small_rows(rows, spec.dtype, 0.0)
    return _small_rows(rows, spec.dtype, _DEAD_FILTER * whole.root_mean_square)


def _small_rows(rows: NDArray[Any], dtype: str, most: float) -> tuple[int, ...]:
    """Return the rows whose every |element| is at most `most`; a row costs as much as it takes to rule it out."""
    left = np.arange(rows.shape[0])
    begin, width = 0, 1
    while left.size and begin < rows.shape[1]:
        # In blocks: where many rows are small, a copy of all of them would be a second tensor in memory.
        blocks = np.array_split(left, -(-left.size * width // CHUNK))
        left = np.concatenate([block[_are_small(rows[block, begin : begin + width], dtype, most)] for block in blocks])
        begin, width = begin + width, min(2 * width, CHUNK)
    return tuple(left.tolist())


def _are_small(part: NDArray[Any], dtype: str, most: float) -> NDArray[np.bool_]:
    magnitudes = np.abs(decode(part, dtype))
    if magnitudes.dtype.itemsize < 4:  # in which the threshold itself could be 0
        magnitudes = magnitudes.astype(np.float32)
    small: NDArray[np.bool_] = (magnitudes <= most).all(axis=1)
    return small

"""Passes over the values of all batches, each of which leaves sums behind and no values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from tlvcli.core.runtime import make_generator
from tlvcli.methods.fitting.normal import Moments, add_samples, no_moments
from tlvcli.methods.fitting.patches import Fittable, input_rows, num_groups, output_rows

if TYPE_CHECKING:
    from torch import Tensor

Pairs = Callable[[], Iterable[tuple["Tensor", "Tensor"]]]
# So many values of rows lie in memory at a time.
_CHUNK = 1 << 24


@dataclass(frozen=True)
class Places:
    """Which places of an image count: all where they are few, else as many, drawn anew for each batch."""

    most: int
    stream: str

    def draw(self, number: int, num_places: int) -> Tensor:
        """Return the places [p], ascending, of the batch of this number; the same whenever it is asked for."""
        if num_places <= self.most:
            return torch.arange(num_places)
        generator = make_generator(0, "fit", self.stream, number)
        return torch.randperm(num_places, generator=generator)[: self.most].sort().values


def sum_halves(layer: Fittable, pairs: Pairs, places: Places) -> tuple[Moments, Moments]:
    """Return the moments of every other image and of the rest; a pair is what the layer reads and [n, out, places]."""
    halves: list[Moments | None] = [None, None]
    for number, (read, wanted) in enumerate(pairs()):
        drawn = places.draw(number, wanted.shape[2])
        for which in (0, 1):
            for inputs, outputs in _rows(layer, read[which::2], wanted[which::2], drawn):
                halves[which] = add_samples(halves[which], inputs, outputs)
    first, second = halves
    assert first is not None
    return first, second if second is not None else no_moments(first)


def _rows(layer: Fittable, read: Tensor, wanted: Tensor, places: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    num_inputs = layer.weight[0].numel() * num_groups(layer)
    step = max(1, _CHUNK // (num_inputs * len(places)))
    for start in range(0, len(read), step):
        part = slice(start, start + step)
        yield input_rows(layer, read[part], places), output_rows(layer, wanted[part], places)


@dataclass(frozen=True, eq=False)
class Agreement:
    """Sums over samples, by output channel [out]: squared differences, values wanted and their squares."""

    differences: Tensor
    values: Tensor
    squares: Tensor
    num_samples: int

    def __add__(self, other: Agreement) -> Agreement:
        """Return the sums over both sets of samples."""
        return Agreement(
            self.differences + other.differences,
            self.values + other.values,
            self.squares + other.squares,
            self.num_samples + other.num_samples,
        )

    def r2(self) -> float:
        """Return R2 over all outputs together; 1 where nothing varies and all agrees, else 0 where nothing varies."""
        variation = float((self.squares - self.values.square() / self.num_samples).sum())
        differences = float(self.differences.sum())
        if variation <= 0:
            return 1.0 if differences <= 0 else 0.0
        return 1.0 - differences / variation


def agreement_of(given: Tensor, wanted: Tensor) -> Agreement:
    """Return the sums of one batch of maps [n, out, places]."""
    exact = wanted.double()
    return Agreement(
        (given - wanted).square().sum(2).double().sum(0),
        exact.sum((0, 2)),
        exact.square().sum((0, 2)),
        wanted.shape[0] * wanted.shape[2],
    )

"""One turn of a fit: a layer, or a block's inner layer together with the one that reads it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from math import ceil
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tlvcli.core.errors import TlvError
from tlvcli.methods.fitting.options import FitOptions
from tlvcli.methods.fitting.replay import Values, replayed
from tlvcli.methods.fitting.sight import Sight
from tlvcli.methods.fitting.solve import Samples, Solution, activated, choose_inner, computed, solve, to_fit
from tlvcli.methods.fitting.streams import Agreement, Places, agreement_of, sum_halves
from tlvcli.methods.fitting.write import tensors_of

if TYPE_CHECKING:
    from torch import Tensor

Batches = Callable[[], Iterable[tuple["Tensor", "Tensor"]]]
Theirs = Callable[[int, "Tensor"], Values]
AllValues = Callable[[], Iterator[Values]]
# From this R2 on a layer is left as it is.
_AGREES = 1 - 1e-6
# Candidates are several times as many as will stay: to choose of them takes one place in so many.
_CHOICE = 8


@dataclass(frozen=True)
class FittedLayer:
    """What became of one target layer with weights; `r2` is None where it was not fitted, and `note` says why.

    R2 is the share of what varies in the source's activations that the target gives, behind the activation, on the
    images of the fit: `r2_before` with the layer as it was, all layers before it fitted. That of a block's inner layer
    is its reader's. Where there were too few images, `num_needed` would have been enough.
    """

    layer: str
    sources: tuple[str, ...]
    r2_before: float | None = None
    r2: float | None = None
    ridge: float | None = None
    num_samples: int = 0
    note: str = ""
    num_needed: int | None = None


@dataclass(frozen=True, eq=False)
class Turn:
    """What became of the layers of one turn, and the target's new tensors by name."""

    rows: tuple[FittedLayer, ...]
    tensors: Mapping[str, Tensor]


class _TooFewError(Exception):
    """There are fewer samples than unknowns; with `num_needed` images there would not be."""

    def __init__(self, message: str, num_needed: int) -> None:
        super().__init__(message)
        self.num_needed = num_needed


def take_turn(sight: Sight, theirs: Theirs, batches: Batches, num_images: int, options: FitOptions) -> Turn:
    """Fit the layers of a sight to `num_images` images, mirrored ones not counted.

    `theirs` gives what the source has of a batch, by the batch's number and images.

    Raises:
        TlvError: `activations-not-finite`.
    """
    values = replayed(
        batches,
        lambda number, batch: {**sight.own(batch[0]), **theirs(number, batch[1])},
        names=("read", "wanted", "other"),
        keep_bytes=options.keep_mb << 20,
    )
    places = Places(options.positions, sight.last.layer)
    samples = partial(_samples, values)
    look = _Look(sight)
    short = None
    try:
        halves = sum_halves(sight.inner, partial(look.pairs, values, num_images, options), places)
        before = look.agreement()
    except _TooFewError as error:
        short = error
        before = _agreement(sight, partial(_as_it_is, values))
    _refuse_not_finite(sight, before)
    if before.r2() > _AGREES:
        note = "left as it is: it gives what the source gives"
        rows = (FittedLayer(p.layer, p.sources, before.r2(), before.r2(), note=note) for p in sight.points)
        return Turn(tuple(rows), {})
    if short is not None:
        rows = (FittedLayer(p.layer, p.sources, note=str(short), num_needed=short.num_needed) for p in sight.points)
        return Turn(tuple(rows), {})
    inner = None
    if sight.first is not sight.last:
        candidates = solve(halves, options.ridge, intercept=sight.has_intercept(sight.first))
        few = Places(max(1, options.positions // _CHOICE), sight.last.layer)
        inner = choose_inner(sight.inner, candidates, sight.layer, samples, few)
        samples = partial(_behind, sight, inner, samples)
        halves = sum_halves(sight.layer, to_fit(samples), places)
    solution = solve(halves, options.ridge, intercept=sight.has_intercept(sight.last))
    after = _agreement(sight, partial(_computed, sight, solution, samples))
    tensors = tensors_of(sight.target, sight.layer, sight.last.end, solution, sight.outputs)
    if inner is not None:
        every = torch.arange(len(sight.inner.weight))
        tensors |= tensors_of(sight.target, sight.inner, sight.first.end, inner, every)
    return Turn(tuple(_rows(sight, inner, solution, before, after)), tensors)


@dataclass
class _Look:
    """The first pass: how far the target agrees as it is."""

    sight: Sight
    parts: list[Agreement] = field(default_factory=list)

    def pairs(self, values: AllValues, num_images: int, options: FitOptions) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield what the first layer reads, with what it is to give: what it may choose of, where it is inner."""
        for found in values():
            _refuse_too_few(self.sight, found["now"].shape[2], num_images, options)
            new = agreement_of(*_behind_relu(self.sight, found["now"], found["wanted"]))
            self.parts = [self.parts[0] + new] if self.parts else [new]
            wanted = found["wanted"] - found["other"] if "other" in found else found["wanted"]
            yield found["read"], found.get("hidden", wanted)

    def agreement(self) -> Agreement:
        """Return the sums of all batches."""
        return self.parts[0]


def _refuse_not_finite(sight: Sight, before: Agreement) -> None:
    """Raise `activations-not-finite` where a sum is not: then some value was not."""
    parts = {"of the source in its place": before.squares, "in what it reads": before.differences}
    for where in [where for where, part in parts.items() if not bool(part.isfinite().all())]:
        raise TlvError(
            "activations-not-finite",
            f"{sight.last.layer} cannot be fitted to {', '.join(sight.last.sources)}: NaN or Inf {where}",
            "tlv inspect --stats shows whether the weights are finite",
        )


def _refuse_too_few(sight: Sight, num_places: int, num_images: int, options: FitOptions) -> None:
    per_image = min(num_places, options.positions) * (2 if options.flip else 1)
    unknowns = max(layer.weight[0].numel() for layer in (sight.inner, sight.layer)) + 1
    needed = ceil(unknowns / per_image)
    if num_images < needed:
        what = f"{unknowns} unknowns for each channel need {needed}, there are {num_images}"
        raise _TooFewError(f"too few images: {what}", needed)


def _as_it_is(values: AllValues) -> Iterator[tuple[Tensor, Tensor]]:
    for found in values():
        yield found["now"], found["wanted"]


def _samples(values: AllValues) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    for found in values():
        yield found["read"], found["wanted"], found.get("other")


def _behind(sight: Sight, inner: Solution, samples: Samples) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
    for read, wanted, other in samples():
        yield activated(sight.inner, inner, read), wanted, other


def _computed(sight: Sight, solution: Solution, samples: Samples) -> Iterator[tuple[Tensor, Tensor]]:
    for read, wanted, other in samples():
        given = computed(sight.layer, solution, read)
        yield given if other is None else given + other, wanted


def _agreement(sight: Sight, pairs: Callable[[], Iterable[tuple[Tensor, Tensor]]]) -> Agreement:
    parts = [agreement_of(*_behind_relu(sight, given, wanted)) for given, wanted in pairs()]
    return sum(parts[1:], parts[0])


def _behind_relu(sight: Sight, given: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return both behind the ReLU that follows, if one does, of the outputs that have a source."""
    if len(sight.outputs) < given.shape[1]:
        given, wanted = given[:, sight.outputs], wanted[:, sight.outputs]
    return (F.relu(given), F.relu(wanted)) if _ends_in_relu(sight) else (given, wanted)


def _ends_in_relu(sight: Sight) -> bool:
    return sight.last.end.activation == "relu"


def _rows(
    sight: Sight, inner: Solution | None, solution: Solution, before: Agreement, after: Agreement
) -> Iterator[FittedLayer]:
    if inner is not None:
        note = "; ".join(
            filter(None, (f"{len(sight.inner.weight)} channels of {len(sight.first.hidden)} layers", _constants(inner)))
        )
        yield FittedLayer(
            sight.first.layer,
            sight.first.sources,
            before.r2(),
            after.r2(),
            inner.ridge,
            inner.moments.num_samples,
            note,
        )
    num_fed = len(sight.outputs)
    part = "" if num_fed == len(sight.layer.weight) else f"{num_fed} of {len(sight.layer.weight)} outputs"
    note = "; ".join(filter(None, (part, _constants(solution))))
    moments = solution.moments
    yield FittedLayer(
        sight.last.layer, sight.last.sources, before.r2(), after.r2(), solution.ridge, moments.num_samples, note
    )


def _constants(solution: Solution) -> str:
    """Return what to say of inputs that hardly or never vary, whose weights the penalty alone decides."""
    variances = solution.moments.covariance().diagonal(dim1=1, dim2=2)
    num_constant = int((variances <= 1e-9 * variances.max()).sum())
    said = (
        [f"{num_constant} of {variances.numel()} inputs never vary: only the penalty decides"] if num_constant else []
    )
    if solution.is_raised:
        said.append("inputs hardly vary: the penalty was raised until there was a solution")
    return "; ".join(said)

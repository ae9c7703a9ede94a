"""The learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

ScheduleName = Literal["cosine", "step", "multistep", "one-cycle", "constant"]

# One-cycle begins at a 25th of the peak and ends at a 10,000th of its beginning, as in torch's OneCycleLR.
_ONE_CYCLE_START = 1 / 25
_ONE_CYCLE_END = _ONE_CYCLE_START / 1e4


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then down to zero in a half cosine, in steps, or not at all; all counts are optimiser steps.

    `step` multiplies the peak by `decay_rate` every `decay_steps`, `multistep` at each of `milestones`; both are
    counted from the beginning, warm-up included. `one-cycle` rises and falls in half cosines (Smith & Topin 2018).
    """

    peak: float
    warmup_steps: int
    total_steps: int
    kind: ScheduleName = "cosine"
    decay_steps: float = math.inf
    decay_rate: float = 1.0
    milestones: tuple[float, ...] = ()

    def learning_rate(self, step: int) -> float:
        """Return the rate of one step, counted from 0."""
        if self.kind == "one-cycle":
            return self.peak * self._one_cycle(step)
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        match self.kind:
            case "cosine":
                done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
                return self.peak * 0.5 * (1 + math.cos(math.pi * done))
            case "step":
                return self.peak * self.decay_rate ** math.floor(step / self.decay_steps)
            case "multistep":
                return self.peak * self.decay_rate ** sum(step >= milestone for milestone in self.milestones)
            case "constant":
                return self.peak

    def _one_cycle(self, step: int) -> float:
        """Return the share of the peak: all of it at the last step of the warm-up."""
        top, last = max(0, self.warmup_steps - 1), self.total_steps - 1
        if step < top:
            return _half_cosine(_ONE_CYCLE_START, 1.0, step / top)
        return _half_cosine(1.0, _ONE_CYCLE_END, (step - top) / max(1, last - top))


def make_schedule(
    kind: ScheduleName,
    *,
    peak: float,
    epochs: int,
    steps_per_epoch: int,
    warmup_epochs: float | None = None,
    decay_epochs: float | None = None,
    decay_rate: float | None = None,
    milestones: tuple[float, ...] | None = None,
) -> Schedule:
    """Return the schedule of a phase of `epochs`; what is None is decided by the schedule and the phase's length.

    `decay_epochs` and `decay_rate` are None only where the schedule takes none.
    """
    warmup = default_warmup(kind, epochs) if warmup_epochs is None else warmup_epochs
    at = default_milestones(epochs) if milestones is None else milestones
    return Schedule(
        peak,
        round(warmup * steps_per_epoch),
        epochs * steps_per_epoch,
        kind,
        math.inf if decay_epochs is None else decay_epochs * steps_per_epoch,
        1.0 if decay_rate is None else decay_rate,
        tuple(milestone * steps_per_epoch for milestone in at) if kind == "multistep" else (),
    )


def default_warmup(kind: ScheduleName, epochs: int) -> float:
    """Return the epochs in which the rate rises where nobody says."""
    return epochs * 3 / 10 if kind == "one-cycle" else 0.5


def default_milestones(epochs: int) -> tuple[float, ...]:
    """Return the epochs at which `multistep` decays where nobody says: at 60 and 80 %, as the scripts of TLV do."""
    return (epochs * 3 / 5, epochs * 4 / 5)


def _half_cosine(start: float, end: float, done: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * done))

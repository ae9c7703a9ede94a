"""The learning rate of every step."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

ScheduleName = Literal["cosine", "step", "constant"]


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then down to zero in a half cosine, in steps, or not at all; all counts are optimiser steps.

    `step` multiplies the peak by `decay_rate` every `decay_steps`, which are counted from the beginning, warm-up
    included.
    """

    peak: float
    warmup_steps: int
    total_steps: int
    kind: ScheduleName = "cosine"
    decay_steps: float = math.inf
    decay_rate: float = 1.0

    def learning_rate(self, step: int) -> float:
        """Return the rate of one step, counted from 0."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        match self.kind:
            case "cosine":
                done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
                return self.peak * 0.5 * (1 + math.cos(math.pi * done))
            case "step":
                return self.peak * self.decay_rate ** math.floor(step / self.decay_steps)
            case "constant":
                return self.peak

"""An exponential moving average of a network in training, which often generalises better than its last step.

    average <- decay * average + (1 - decay) * weights      after every optimiser step; the first one copies

as torch.optim.swa_utils.AveragedModel computes it, the statistics of batch normalisation included. What does not change
in training does not change in the average, to the bit: counters are copied, not averaged in floating point.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class MovingAverage:
    """The averaged network, a copy in evaluation mode, and its decay per step."""

    module: nn.Module
    decay: float


def start_average(module: nn.Module, decay: float) -> MovingAverage:
    """Return an average that is the module itself as yet."""
    return MovingAverage(copy.deepcopy(module).eval().requires_grad_(False), decay)


def update_average(average: MovingAverage, module: nn.Module, *, is_first: bool) -> None:
    """Move the average towards `module` after a step; after the first one, all the way."""
    import torch

    pairs = list(zip(_tensors(average.module), _tensors(module), strict=True))
    averaged = [] if is_first else [pair for pair in pairs if pair[0].is_floating_point()]
    with torch.no_grad():
        if averaged:
            kept, current = (list(side) for side in zip(*averaged, strict=True))
            torch._foreach_lerp_(kept, current, 1 - average.decay)
        for old, new in pairs:
            if is_first or not old.is_floating_point():
                old.copy_(new)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]

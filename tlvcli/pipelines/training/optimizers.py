"""Optimisers by name, over the groups of a phase."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from tlvcli.methods.finetuning.plan import Phase

if TYPE_CHECKING:
    import torch
    from torch import nn

OptimizerName = Literal["adamw", "adam", "sgd"]


@dataclass(frozen=True)
class OptimizerDefaults:
    """What suits an optimiser where the user says nothing; `lr_scale` multiplies the strategy's learning rate."""

    lr_scale: float
    weight_decay: float


# AdamW decays apart from the gradient, at a rate times lr; in the others decay is part of the gradient.
DEFAULTS: dict[OptimizerName, OptimizerDefaults] = {
    "adamw": OptimizerDefaults(1.0, 0.05),
    "adam": OptimizerDefaults(1.0, 5e-4),
    "sgd": OptimizerDefaults(10.0, 5e-4),
}


def make_optimizer(
    module: nn.Module, phase: Phase, *, name: OptimizerName = "adamw", weight_decay: float
) -> torch.optim.Optimizer:
    """Return the optimiser over the groups of the phase; its rate is set step by step."""
    import torch

    parameters = dict(module.named_parameters())
    groups: list[dict[str, Any]] = [
        {
            "params": [parameters[name] for name in group.parameters],
            "weight_decay": weight_decay if group.decays else 0.0,
            "rate": group.rate,
        }
        for group in phase.groups
    ]
    # One pass over memory for all that a step does to a parameter; on the CPU too.
    match name:
        case "adamw":
            return torch.optim.AdamW(groups, fused=True)
        case "adam":
            return torch.optim.Adam(groups, fused=True)
        case "sgd":
            return torch.optim.SGD(groups, lr=1e-3, momentum=0.9, nesterov=True, fused=True)

"""Train all weights: the baseline every other strategy is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.methods.finetuning.plan import FinetunePlan, ParameterGroup

if TYPE_CHECKING:
    from torch import nn


def full(module: nn.Module) -> FinetunePlan:
    """Return a plan in which every parameter trains, biases and normalisation without weight decay.

    Decay there only shrinks offsets and scales, which does not regularise (He et al. 2019, Bag of Tricks).
    """
    decays: list[str] = []
    others: list[str] = []
    for name, parameter in module.named_parameters():
        # At most one dimension: biases, and normalisation's scales. Swin's tables of biases have two.
        is_bias = parameter.ndim <= 1 or "bias" in name.rpartition(".")[2]
        (others if is_bias else decays).append(name)
    groups = (ParameterGroup(tuple(decays), decays=True), ParameterGroup(tuple(others), decays=False))
    return FinetunePlan("full", tuple(group for group in groups if group.parameters))

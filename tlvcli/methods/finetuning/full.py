"""Train all weights: the baseline every other strategy is measured against."""

from __future__ import annotations

from collections.abc import Set
from typing import TYPE_CHECKING

from tlvcli.methods.finetuning.plan import FinetunePlan, ParameterGroup

if TYPE_CHECKING:
    from torch import nn


def full(module: nn.Module, *, fresh: Set[str] = frozenset(), fresh_rate: float = 1.0) -> FinetunePlan:
    """Return a plan in which every parameter trains, biases and normalisation without weight decay.

    Decay there only shrinks offsets and scales, which does not regularise (He et al. 2019, Bag of Tricks).
    The `fresh` parameters, a new head, learn at `fresh_rate` times the rate of those that know something.
    """
    groups: dict[tuple[bool, float], list[str]] = {}
    for name, parameter in module.named_parameters():
        # At most one dimension: biases, and normalisation's scales. Swin's tables of biases have two.
        is_bias = parameter.ndim <= 1 or "bias" in name.rpartition(".")[2]
        rate = fresh_rate if name in fresh else 1.0
        groups.setdefault((not is_bias, rate), []).append(name)
    return FinetunePlan(
        "full",
        tuple(ParameterGroup(tuple(names), decays, rate) for (decays, rate), names in groups.items()),
    )

"""L2-SP: weights are drawn to where they started, not to zero (Li et al. 2018, Explicit Inductive Bias).

    R = sum over transferred weights of l2_sp / 2 * ||w - w0||^2  +  sum over new weights of l2 / 2 * ||w||^2

It takes the place of weight decay, which would pull the same weights to zero at the same time. Biases and
normalisation, which do not decay, are left free here too.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.plan import FinetunePlan, ParameterGroup, Phase

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("head", "high", "low")


def hold_to_start(plan: FinetunePlan, weights: tuple[float, ...], *, new: Set[str]) -> FinetunePlan:
    """Return the plan with L2-SP in place of weight decay; `new` parameters have no start worth holding to.

    `weights` is one factor, or those of the groups `head`, `high` and `low`.

    Raises:
        TlvError: `config-invalid` for three factors in a plan without these groups.
    """
    of_part = dict(zip(PARTS, weights, strict=True)) if len(weights) == 3 else {}
    if of_part and any(group.name not in of_part for phase in plan.phases for group in phase.groups):
        raise TlvError(
            "config-invalid",
            f"l2sp: three values are for head, high and low layers, which {plan.strategy} does not tell apart",
            "write one value, or take --strategy non-binary",
        )

    def held(group: ParameterGroup) -> tuple[ParameterGroup, ...]:
        weight = of_part.get(group.name, weights[0])
        plain = replace(group, decays=False)
        if not group.decays:
            return (plain,)
        known = tuple(name for name in group.parameters if name not in new)
        unknown = tuple(name for name in group.parameters if name in new)
        split = (replace(plain, parameters=known, l2_sp=weight), replace(plain, parameters=unknown, l2=weight))
        return tuple(part for part in split if part.parameters)

    phases = (
        replace(phase, groups=tuple(part for group in phase.groups for part in held(group))) for phase in plan.phases
    )
    return replace(plan, phases=tuple(phases))


def starting_points(plan: FinetunePlan, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies, in float32, of the parameters that any phase holds to their start."""
    groups = (group for phase in plan.phases for group in phase.groups if group.l2_sp > 0)
    return {name: parameters[name].detach().float().clone() for group in groups for name in group.parameters}


def penalty(phase: Phase, parameters: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> Tensor | None:
    """Return R in float32 with its gradient, or None where no group of the phase is held.

    Call it outside autocast: sums of squares overflow in half precision.
    """
    terms = []
    for group in phase.groups:
        for name in group.parameters:
            if group.l2_sp > 0:
                terms.append(0.5 * group.l2_sp * (parameters[name].float() - start[name]).square().sum())
            if group.l2 > 0:
                terms.append(0.5 * group.l2 * parameters[name].float().square().sum())
    return sum(terms[1:], terms[0]) if terms else None

"""Rates that a checkpoint recommends for its layers: what it knows well moves slowly, what would lag behind faster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace

from tlvcli.core.layer_globs import is_named, refuse_unknown
from tlvcli.methods.finetuning.plan import FinetunePlan, ParameterGroup, Phase


def with_recommended_rates(
    plan: FinetunePlan, rates: Mapping[str, float], parameters: Sequence[str], *, fresh: Set[str]
) -> FinetunePlan:
    """Return the plan with each group's rate multiplied by the one recommended for its layers; 0 freezes a layer.

    `rates` are multiples under names or patterns of layers, of which the last that fits decides. `fresh` parameters
    know nothing and keep their rates. A frozen layer computes as in evaluation, its statistics too.

    Raises:
        TlvError: `layers-unknown` for a pattern that fits no layer.
    """
    refuse_unknown(rates, list(dict.fromkeys(name.rpartition(".")[0] for name in parameters)))
    factors = {
        name: next((rate for pattern, rate in reversed(list(rates.items())) if is_named(_layer(name), pattern)), 1.0)
        for name in parameters
        if name not in fresh
    }
    moving = {_layer(name) for name in parameters if factors.get(name, 1.0) > 0}
    # A module with parameters of its own around layers that learn, as the encoder of a transformer, does not go still.
    still = tuple(
        layer
        for layer in dict.fromkeys(_layer(name) for name in parameters)
        if layer and not any(f"{other}.".startswith(f"{layer}.") for other in moving)
    )
    phases = (
        Phase(
            tuple(part for group in phase.groups for part in _split(group, factors)),
            (*phase.frozen, *(layer for layer in still if layer not in phase.frozen)),
            phase.epochs,
        )
        for phase in plan.phases
    )
    return replace(plan, phases=tuple(phases))


def _layer(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _split(group: ParameterGroup, factors: Mapping[str, float]) -> list[ParameterGroup]:
    """Return the group in parts of one rate each, without what is frozen."""
    members: dict[float, list[str]] = {}
    for name in group.parameters:
        members.setdefault(factors.get(name, 1.0), []).append(name)
    return [
        replace(group, parameters=tuple(names), rate=group.rate * factor)
        for factor, names in members.items()
        if factor > 0
    ]

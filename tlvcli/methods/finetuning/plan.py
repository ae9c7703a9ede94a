"""What a fine-tuning strategy decides: groups of parameters by name."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that train alike.

    `decays` says whether weight decay draws them to zero; `rate` is a multiple of the run's learning rate.
    """

    parameters: tuple[str, ...]
    decays: bool
    rate: float = 1.0


@dataclass(frozen=True)
class FinetunePlan:
    """A strategy's decision; a parameter in no group stays as it is."""

    strategy: str
    groups: tuple[ParameterGroup, ...]

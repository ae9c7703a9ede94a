"""What a fine-tuning strategy decides: which parameters train in which phase, how, and what holds them back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters that train alike.

    `rate` is a multiple of the run's learning rate; `decays` says whether the optimiser draws them to zero. The loss
    gains `l2_sp / 2` times their squared distance from where they started, and `l2 / 2` times that from zero.
    """

    name: str
    parameters: tuple[str, ...]
    rate: float = 1.0
    decays: bool = True
    l2_sp: float = 0.0
    l2: float = 0.0


@dataclass(frozen=True)
class Phase:
    """Epochs with an optimiser and a schedule of their own; a parameter in no group stays as it is.

    `frozen` modules compute as in evaluation: their batch normalisation learns no statistics, their dropout drops
    nothing. `epochs` is None in the last phase, which takes the rest.
    """

    groups: tuple[ParameterGroup, ...]
    frozen: tuple[str, ...] = ()
    epochs: int | None = None


@dataclass(frozen=True)
class MaskedRows:
    """Rows of one tensor (its first dimension) that a mask holds; the tensor may be a running statistic."""

    tensor: str
    rows: tuple[int, ...]
    num_rows: int


@dataclass(frozen=True)
class FinetunePlan:
    """A strategy's decision.

    `reinitialised` tensors start from the architecture's own initialisation. Rows in `masks` take `mask_scale` of
    every update: at 0 none, to the bit.
    """

    strategy: str
    phases: tuple[Phase, ...]
    reinitialised: tuple[str, ...] = ()
    masks: tuple[MaskedRows, ...] = ()
    mask_scale: float = 0.0

    @property
    def trained(self) -> frozenset[str]:
        """The parameters that train in at least one phase."""
        return frozenset(name for phase in self.phases for group in phase.groups for name in group.parameters)


def make_groups(places: Iterable[tuple[str, str, float]], dimensions: Mapping[str, int]) -> tuple[ParameterGroup, ...]:
    """Return groups of parameters, each placed by its name, its group's name and its rate.

    Weights decay, biases and normalisation do not: there decay only shrinks offsets and scales, which does not
    regularise (He et al. 2019, Bag of Tricks). `dimensions` tells the two apart.
    """
    members: dict[tuple[bool, float, str], list[str]] = {}
    for name, group, rate in places:
        # At most one dimension: biases, and normalisation's scales. Swin's tables of biases have two.
        is_bias = dimensions[name] <= 1 or "bias" in name.rpartition(".")[2]
        members.setdefault((not is_bias, rate, group), []).append(name)
    return tuple(ParameterGroup(group, tuple(names), rate, decays) for (decays, rate, group), names in members.items())

"""What a step after the mapping did: changed tensors, and a line for every layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Measure = Literal["weight std", "output std", "running std", "R2"]


@dataclass(frozen=True)
class AdaptedLayer:
    """What was measured of a layer before and after; None where it was left, and `note` says why."""

    layer: str
    measure: Measure
    before: float | None
    after: float | None
    note: str = ""


@dataclass(frozen=True)
class Adaptation:
    """The changed tensors by name, a line for every layer that the step is about, and what the user should know."""

    state: Mapping[str, Tensor]
    layers: tuple[AdaptedLayer, ...]
    warnings: tuple[str, ...] = ()

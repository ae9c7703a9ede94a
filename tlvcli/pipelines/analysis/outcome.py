"""What each kind of analysis hands back; the command's report is put together from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from tlvcli.core.report import Gate, InputInfo, OutputInfo, ReportPart

if TYPE_CHECKING:
    import torch

SectionT = TypeVar("SectionT", bound=ReportPart, covariant=True)


@dataclass(frozen=True)
class Outcome(Generic[SectionT]):
    """One section of the result, with what was read, what was written and what is to be said beside it.

    `device` is where the network ran, None where none ran.
    """

    section: SectionT
    inputs: tuple[InputInfo, ...]
    device: torch.device | None = None
    outputs: tuple[OutputInfo, ...] = ()
    warnings: tuple[str, ...] = ()
    gates: tuple[Gate, ...] = ()

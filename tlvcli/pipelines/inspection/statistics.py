"""`tlv inspect --stats`: what the values of every tensor are like, and what among them looks broken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from tlvcli.core.report import ReportPart
from tlvcli.core.tensors import TensorSource

if TYPE_CHECKING:
    from tlvcli.methods.weights.statistics import TensorStatistics

_MOST_INDICES = 10
_MOST_NAMES = 3


class InspectedValues(ReportPart):
    """The values of one tensor; numbers are over its finite values, of complex values over their magnitudes."""

    name: str
    elements: int
    mean: float | None = Field(description="null where no value is finite, or their sum is beyond float64")
    std: float | None = Field(description="population (divided by n); null as mean, and where squares overflow")
    min: float | None = Field(description="null where no value is finite")
    max: float | None = Field(description="null where no value is finite")
    zeros: int = Field(description="0 and -0")
    nan: int
    infinite: int
    constant: bool = Field(description="more than one value, and all finite and the same")
    he_std: float | None = Field(
        description="sqrt(2 / fan-in), which keeps the variance in the forward pass, the first dimension being "
        "outputs; null for other than floating weights of two dimensions or more"
    )
    std_over_he: float | None = Field(description="std / he_std; null where either is")


class DeadChannels(ReportPart):
    """Channels of one tensor that do nothing."""

    tensor: str
    channels: Literal["filter", "scale", "variance"] = Field(
        description="filter: output channels, or rows of a linear layer, of which no weight exceeds 0.1 of the "
        "tensor's root mean square (or all are 0, where they have fewer than 4 weights); scale: of a normalisation, "
        "at most 0.01 of the root mean square; variance: running variances below 1e-10, or below 0"
    )
    number: int
    of: int = Field(description="channels in all")
    first: list[int] = Field(description="indices, at most 10")


class StatisticsSection(ReportPart):
    """Statistics of all tensors, and those that stand out."""

    tensors: list[InspectedValues] = Field(description="in the order of the checkpoint")
    non_finite: list[str] = Field(description="tensors with NaN or infinite values")
    constant: list[str] = Field(description="tensors of more than one value that are all the same")
    dead: list[DeadChannels] = Field(description="in the order of the checkpoint")


def describe_statistics(source: TensorSource) -> StatisticsSection:
    """Read every tensor once and describe its values; memory holds the largest tensor."""
    # Only here: numpy takes a tenth of a second, which a look at the header does not need.
    from tlvcli.methods.weights.statistics import weight_statistics

    tensors, dead = [], []
    for statistics in weight_statistics(source):
        tensors.append(_describe(statistics))
        if statistics.dead:
            dead.append(_describe_dead(statistics))
    return StatisticsSection(
        tensors=tensors,
        non_finite=sorted(values.name for values in tensors if values.nan or values.infinite),
        constant=sorted(values.name for values in tensors if values.constant),
        dead=dead,
    )


def statistics_warnings(section: StatisticsSection) -> list[str]:
    """Return one warning that names the first tensors with NaN or infinite values, or none."""
    faulty = [values for values in section.tensors if values.nan or values.infinite]
    if not faulty:
        return []
    shown = ", ".join(f"{values.name} ({_count_faults(values)})" for values in faulty[:_MOST_NAMES])
    more = f" and {len(faulty) - _MOST_NAMES} more" if len(faulty) > _MOST_NAMES else ""
    return [f"values that are not finite: {shown}{more}"]


def _count_faults(values: InspectedValues) -> str:
    counts = ((values.nan, "NaN"), (values.infinite, "infinite"))
    return ", ".join(f"{number:,} {word}" for number, word in counts if number) + f" of {values.elements:,}"


def _describe(statistics: TensorStatistics) -> InspectedValues:
    whole, he_std = statistics.moments, statistics.he_std
    std = _finite(whole.std) if whole.finite else None
    return InspectedValues(
        name=statistics.spec.name,
        elements=whole.count,
        mean=_finite(whole.mean) if whole.finite else None,
        std=std,
        min=_finite(whole.low),
        max=_finite(whole.high),
        zeros=whole.zeros,
        nan=whole.nan,
        infinite=whole.infinite,
        constant=whole.finite == whole.count > 1 and whole.low == whole.high,
        he_std=he_std,
        std_over_he=_finite(std / he_std) if he_std and std is not None else None,
    )


def _describe_dead(statistics: TensorStatistics) -> DeadChannels:
    assert statistics.channels is not None
    return DeadChannels(
        tensor=statistics.spec.name,
        channels=statistics.channels,
        number=len(statistics.dead),
        of=statistics.spec.shape[0],
        first=list(statistics.dead[:_MOST_INDICES]),
    )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None

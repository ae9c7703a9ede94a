"""What the report of `tlv transfer` says of every tensor, and of every step after the mapping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from pydantic import Field

from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Gate, ReportPart
from tlvcli.methods.adaptation.outcome import Measure
from tlvcli.pipelines.transferring.inputs import Target


class AdaptedRow(ReportPart):
    """What a step after the mapping did to one layer of the target."""

    step: Literal["rescale", "fit", "calibrate"]
    layer: str
    source: str | None = Field(None, description="of a fit: the source's layer that it was fitted to")
    measure: Measure = Field(
        description="std of the weight, of the output over all images, root of the mean running variance, or share of "
        "the variance of the source's output that is predicted"
    )
    before: float | None = Field(description="null where the layer was left as it was, or nothing was measured")
    after: float | None = Field(description="null where the layer was left as it was")
    note: str = Field(description="why a layer was left, or what else there is to say")


class TransferResult(ReportPart):
    """What became of every tensor of the target."""

    method: str
    reference: str = Field(description="where the method was published")
    architecture: Architecture
    dtype: str = Field(description="floating dtype of the output, or mixed")
    coverage: float = Field(description="share of the target's parameters whose value comes from the source")
    num_tensors: int
    num_parameters: int
    num_rows: dict[str, int] = Field(description="tensors by operation")
    rows: list[PlanRow] = Field(description="one for every target tensor, in the target's order")
    adaptation: list[AdaptedRow] = Field(
        default_factory=list, description="what rescale, fit and calibrate did, in this order, layer by layer"
    )


def make_result(
    method: str,
    reference: str,
    plan: TransferPlan,
    target: Target,
    dtypes: Mapping[str, str],
    adaptation: Sequence[AdaptedRow],
) -> TransferResult:
    """Return the result of a plan for `target`, whose output tensors have `dtypes`."""
    operations = [row.operation for row in plan.rows]
    floating = {dtype for dtype in dtypes.values() if "float" in dtype}
    return TransferResult(
        method=method,
        reference=reference,
        architecture=target.architecture,
        dtype=floating.pop() if len(floating) == 1 else "mixed",
        coverage=plan.coverage(target.graph),
        num_tensors=len(plan.rows),
        num_parameters=target.graph.num_parameters,
        num_rows={operation: operations.count(operation) for operation in sorted(set(operations))},
        rows=list(plan.rows),
        adaptation=list(adaptation),
    )


def make_gates(min_coverage: float | None, coverage: float) -> list[Gate]:
    """Return whether the coverage is what the user asked for, if so."""
    if min_coverage is None:
        return []
    flag = f"--min-coverage {min_coverage:g}"
    return [Gate(flag=flag, met=coverage >= min_coverage, message=f"coverage is {coverage:.4f}")]

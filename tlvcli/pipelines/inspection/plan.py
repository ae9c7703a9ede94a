"""A saved transfer plan, as `tlv inspect PLAN.yaml` describes it."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from pydantic import Field

from tlvcli.core.provenance import Ancestor, Architecture
from tlvcli.core.report import ReportPart

_SUFFIXES = (".yaml", ".yml")


class PlanSection(ReportPart):
    """What a plan was made for, and what it does."""

    method: str
    seed: int
    source: Ancestor | None = Field(description="the file it was made from; null for a random start")
    target: Architecture
    is_edited: bool = Field(description="a row is no longer what the method wrote")
    num_rows: dict[str, int] = Field(description="tensors by operation")
    arrays: str | None = Field(description="the safetensors file beside it with its index maps, if any")


def is_plan(path: Path) -> bool:
    """Return whether the name is one that plans have; no checkpoint ends so."""
    return path.suffix in _SUFFIXES and path.is_file()


def describe_plan(path: Path) -> PlanSection:
    """Read a plan and what its index maps say.

    Raises:
        TlvError: `plan-unreadable`, `plan-version` or `plan-invalid`.
    """
    from tlvcli.pipelines.transferring.plans import open_plan

    read = open_plan(path)
    return PlanSection(
        method=read.saved.method,
        seed=read.saved.seed,
        source=read.saved.source,
        target=read.saved.target,
        is_edited=read.is_edited,
        num_rows=dict(sorted(Counter(row.operation for row in read.plan.rows).items())),
        arrays=read.saved.arrays,
    )

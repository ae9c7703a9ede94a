"""What the report of `tlv compare` says beside its settings."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from tlvcli.core.report import ReportPart
from tlvcli.pipelines.comparing.significance import Difference


class Spread(ReportPart):
    """A figure over the seeds of a variant: shares of 1."""

    seeds: list[int] = Field(description="those that finished, in order")
    values: list[float] = Field(description="by seed")
    mean: float
    spread: float | None = Field(description="sample standard deviation; null for one seed")


class CurvePoint(ReportPart):
    """Val top-1 after an epoch, over the seeds that trained so long."""

    epoch: int
    mean: float
    spread: float | None = Field(description="sample standard deviation; null for one seed")


class PointResult(ReportPart):
    """One point of the grid of a variant."""

    settings: dict[str, Any] = Field(description="values of the grid's keys; empty where nothing is searched")
    is_default: bool = Field(description="the first value of every key")
    is_chosen: bool = Field(description="the best mean on val")
    val: Spread | None = Field(description="top-1 of the best epoch; null where every seed failed")
    test: Spread | None = Field(description="top-1; only of the chosen and the default point")


class VariantResult(ReportPart):
    """One row of the table: a start, fine-tuned by a strategy, with the settings that are best on val."""

    name: str = Field(description="source, method and strategy joined by /")
    source: str
    method: str | None = Field(description="null where the source itself is fine-tuned")
    strategy: str
    is_baseline: bool
    points: list[PointResult] = Field(description="the default first")
    settings: dict[str, Any] = Field(description="of the chosen point")
    coverage: float | None = Field(description="share of the target that comes from the source, mean over seeds")
    val: Spread | None = Field(description="top-1 of the best epoch, chosen point")
    test: Spread | None = Field(description="top-1 of the best epoch's checkpoint, chosen point")
    default_test: Spread | None = Field(description="the same of the default point")
    curve: list[CurvePoint] = Field(description="val top-1 by epoch, chosen point")
    epochs_to_baseline: int | None = Field(
        description="first epoch whose mean on val is the baseline's after its last; null where none is"
    )
    difference: Difference | None = Field(
        description="to the baseline, paired over the seeds that both finished; null for the baseline"
    )


class CellResult(ReportPart):
    """One cell, as the commands that it is."""

    name: str
    variant: str
    settings: dict[str, Any]
    seed: int
    status: Literal["trained", "failed", "planned"]
    error: str | None = Field(description="id and message where it failed")
    val_top1: float | None
    test_top1: float | None
    best_epoch: int | None
    seconds: float | None = Field(description="wall time of transfer and training")
    checkpoint: str | None = Field(description="the best epoch's, where it was kept")
    commands: list[str]


class CompareResult(ReportPart):
    """Variants in the order of the grid, and every cell; a dry run has planned cells and no figures."""

    target_arch: str | None
    test_data: str | None = Field(description="null where there is no test split")
    num_cells: int
    num_trained: int
    num_failed: int
    jobs: int = Field(description="cells at once")
    threads: int = Field(description="of each, on the CPU; the OMP_NUM_THREADS of its commands")
    disk_bytes: int = Field(description="estimate of the most that the cells take at once")
    baseline: str = Field(description="name of a variant")
    baseline_final: float | None = Field(description="its mean val top-1 after the last epoch")
    compared_by: Literal["test", "val"] = Field(description="what the differences are of")
    winner: str | None = Field(description="name of the variant that is best on val")
    winner_checkpoint: str | None = Field(description="its best seed's, where it was kept")
    variants: list[VariantResult]
    cells: list[CellResult]

"""The files that a shift leaves beside its report: mask, table, pictures."""

from __future__ import annotations

from pathlib import Path

from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import refuse_existing
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.result import ShiftSection
from tlvcli.pipelines.checkpoints import OpenedCheckpoint
from tlvcli.pipelines.outputs import refuse_inputs, refuse_same, refuse_suffix


def refuse_outputs(config: AnalyzeStatsConfig) -> None:
    """Raise before the work what would keep an output from being written after it."""
    outputs = [Path(name) for name in (config.mask, config.csv, config.html) if name]
    refuse_same(outputs)
    refuse_inputs(outputs, [Path(config.checkpoint)])
    if config.mask:
        refuse_suffix(Path(config.mask))
    for path in outputs:
        refuse_existing(path, force=config.force)
    if config.plots:
        from tlvcli.pipelines.analysis.plots import refuse_plots

        refuse_plots(Path(config.plots), force=config.force)


def write_outputs(
    config: AnalyzeStatsConfig, section: ShiftSection, opened: OpenedCheckpoint, warnings: list[str]
) -> tuple[OutputInfo, ...]:
    """Write what the settings ask for beside the report; what the mask leaves out becomes a warning."""
    outputs: list[OutputInfo] = []
    if config.mask:
        from tlvcli.pipelines.analysis.mask import write_mask

        written, left_out = write_mask(
            Path(config.mask), section, opened, statistic=config.statistic[0], force=config.force
        )
        outputs.append(written)
        warnings += [f"not in the mask: {reason}" for reason in left_out]
    if config.csv:
        from tlvcli.pipelines.analysis.kernel_table import write_kernels

        outputs.append(write_kernels(Path(config.csv), section, force=config.force))
    if config.plots:
        from tlvcli.pipelines.analysis.plots import draw_shift

        outputs += draw_shift(section, Path(config.plots), force=config.force)
    return tuple(outputs)

"""What is wrong with the settings of an analysis and shows before torch is imported, whatever the question."""

from __future__ import annotations

from tlvcli.core.processes import find_processes
from tlvcli.methods.statistics.table import find_statistic
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.networks import named_networks
from tlvcli.pipelines.analysis.shift_outputs import refuse_outputs
from tlvcli.pipelines.first_look import look_at_checkpoint, look_at_images


def look_first(config: AnalyzeStatsConfig) -> None:
    """Raise where a statistic, an output, data or a checkpoint is none; outputs of a shift only: others are as quick.

    Several processes meet before they look at what the first one writes.
    """
    if config.mode == "shift":
        for name in config.statistic:
            find_statistic(name)
        if not find_processes().several:
            refuse_outputs(config)
    for data in (config.source, config.target, config.data):
        if data is not None:
            look_at_images(data, download=config.download)
    for reference, _, arch, _ in named_networks(config):
        look_at_checkpoint(reference, arch)

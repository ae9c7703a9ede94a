"""What a page says of where it comes from: the command again, its inputs, versions."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlvcli.core.provenance import Preprocessing
from tlvcli.core.report import InputInfo
from tlvcli.core.runtime import Stopwatch
from tlvcli.core.wording import counted
from tlvcli.pages.values import Origin
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig

if TYPE_CHECKING:
    import torch

# They say where outputs go and how fast, not what is found.
_LEFT_OUT = frozenset({"checkpoint", "force"})


def describe_origin(
    config: AnalyzeStatsConfig,
    inputs: Sequence[InputInfo],
    preprocessing: Sequence[Preprocessing],
    warnings: Sequence[str],
    device: torch.device,
) -> Origin:
    """Return the page's footer; nothing in it changes from run to run, so that the same inputs give the same page."""
    ran = Stopwatch().run_info(device)
    facts = [(f"{given.role}", _describe_input(given)) for given in inputs]
    facts += [("images", _describe_preparation(prepared)) for prepared in dict.fromkeys(preprocessing)]
    facts.append(("versions", ", ".join(f"{name} {version}" for name, version in sorted(ran.versions.items()))))
    facts.append(("device", ran.device))
    return Origin(command=command_line(config), facts=facts, warnings=tuple(warnings))


def command_line(config: AnalyzeStatsConfig) -> str:
    """Return the command that these settings come from, without what is as by default."""
    words = ["tlv", "analyze-stats", config.checkpoint]
    for name, field in AnalyzeStatsConfig.model_fields.items():
        value = getattr(config, name)
        if name in _LEFT_OUT or value == field.get_default(call_default_factory=True):
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        else:
            for entry in value if isinstance(value, list) else [value]:
                words += [flag, str(entry)]
    return shlex.join(words)


def _describe_input(given: InputInfo) -> str:
    parts = [given.path, given.format]
    if given.images is not None:
        parts.append(counted(given.images, "image"))
    if given.parameters is not None:
        parts.append(f"{given.parameters:,} parameters")
    if given.sha256:
        parts.append(f"sha256 {given.sha256}")
    return ", ".join(parts)


def _describe_preparation(prepared: Preprocessing) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (prepared.mean, prepared.std))
    return (
        f"short side {prepared.resize_size} px ({prepared.interpolation}), centre {prepared.image_size} px, "
        f"mean {mean}, std {std}"
    )

"""What a page says of where it comes from: the command again, its inputs, how images were prepared."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence

from tlvcli.core.config import Config
from tlvcli.core.provenance import Preprocessing
from tlvcli.core.report import InputInfo, RunInfo
from tlvcli.core.wording import counted
from tlvcli.pages.values import Origin

# They say where outputs go and how fast, not what is found.
_LEFT_OUT = frozenset({"force"})


def describe_origin(
    command: str,
    inputs: Sequence[InputInfo],
    preprocessing: Sequence[Preprocessing],
    warnings: Sequence[str],
    ran: RunInfo,
    *,
    dated: bool = False,
) -> Origin:
    """Return the page's footer; without a date the same inputs give the same page."""
    facts: list[tuple[str, str]] = [(given.role, _describe_input(given)) for given in inputs]
    facts += [("images", _describe_preparation(prepared)) for prepared in dict.fromkeys(preprocessing)]
    facts.append(("versions", ", ".join(f"{name} {version}" for name, version in sorted(ran.versions.items()))))
    facts.append(("device", ran.device))
    if dated:
        facts.append(("date", ran.started_at))
    return Origin(command=command, facts=facts, warnings=tuple(warnings))


def command_line(command: str, config: Config, *, positional: Collection[str] = ("checkpoint",)) -> str:
    """Return the command that these settings come from, without what is as by default."""
    words = ["tlv", command, *(str(getattr(config, name)) for name in positional)]
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if name in _LEFT_OUT or name in positional or value == field.get_default(call_default_factory=True):
            continue
        flag = f"--{name.replace('_', '-')}"
        if value is True:
            words.append(flag)
        else:
            for entry in _entries(value):
                words += [flag, entry]
    return shlex.join(words)


def _entries(value: object) -> list[str]:
    """Words are given by a flag each, the numbers of a list together, as in `--mean 0.5,0.4,0.3`."""
    if not isinstance(value, list | tuple):
        return [str(value)]
    if all(isinstance(entry, float) for entry in value):
        return [",".join(f"{entry:g}" for entry in value)]
    return [str(entry) for entry in value]


def _describe_input(given: InputInfo) -> str:
    parts = [given.path, given.format]
    if given.images is not None:
        parts.append(counted(given.images, "image"))
    if given.parameters is not None:
        parts.append(f"{given.parameters:,} elements")  # buffers count too
    if given.sha256:
        parts.append(f"sha256 {given.sha256}")
    return ", ".join(parts)


def _describe_preparation(prepared: Preprocessing) -> str:
    mean, std = (" ".join(f"{value:g}" for value in values) for values in (prepared.mean, prepared.std))
    return (
        f"short side {prepared.resize_size} px ({prepared.interpolation}), centre {prepared.image_size} px, "
        f"mean {mean}, std {std}"
    )

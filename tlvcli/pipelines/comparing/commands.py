"""The commands that a cell is, as one would type them."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tlvcli.pipelines.comparing.cells import CellSettings
from tlvcli.pipelines.comparing.folder import CellFolder

_ARGUMENTS = {"transfer": ("source", "target_arch", "out"), "train": ("checkpoint",), "eval": ("checkpoint",)}
# Keys that have no flag; all others have one of their name.
_BY_SET = frozenset({"head_rate", "tune_lr_scale", "erasing_mode", "channels_last", "matching", "mapping"})


def cell_commands(settings: CellSettings, folder: CellFolder) -> list[str]:
    """Return the command lines of a cell, in order; the last measures it on the test data where there are any."""
    lines = [] if settings.transfer is None else [command_line("transfer", settings.transfer)]
    lines.append(command_line("train", settings.train))
    if settings.test is not None:
        lines.append(f"{command_line('eval', settings.test)} --report {shlex.quote(str(folder.test_path))}")
    return lines


def command_line(command: str, settings: Mapping[str, Any]) -> str:
    """Return the command with arguments first, then a flag for every other setting."""
    arguments = _ARGUMENTS[command]
    turned_on = _turned_on()
    words = ["tlv", command, *(str(settings[key]) for key in arguments)]
    for key, value in settings.items():
        if key not in arguments:
            words += _words(key, value, is_on=key in turned_on)
    return shlex.join(words)


def _turned_on() -> set[str]:
    """Return the switches that are on by default, whose flag is --no-NAME; that of others is --NAME."""
    from tlvcli.pipelines.training.config import TrainConfig

    return {key for key, field in TrainConfig.model_fields.items() if field.default is True}


def _words(key: str, value: Any, *, is_on: bool) -> Iterator[str]:
    flag = f"--{'no-' if is_on else ''}{key.replace('_', '-')}"
    if isinstance(value, Mapping):
        for inner, choice in value.items():
            # What a step looks at is its flag's own value.
            yield from (flag, str(choice)) if inner == "data" else ("--set", f"{key}.{inner}={_text(choice)}")
    elif key in _BY_SET or (isinstance(value, bool) and value == is_on):
        yield from ("--set", f"{key}={_text(value)}")
    elif isinstance(value, bool):
        yield flag
    elif key in ("only", "skip"):
        for glob in [value] if isinstance(value, str) else value:
            yield from (flag, str(glob))
    else:
        yield from (flag, ",".join(map(str, value)) if _is_list(value) else str(value))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)

"""The command that a comparison came from."""

from __future__ import annotations

import json
import shlex
from typing import Any

from tlvcli.pipelines.comparing.config import CompareConfig


def compare_command(config: CompareConfig) -> str:
    """Return the command that these settings come from, without what is as by default."""
    words = ["tlv", "compare"]
    for name, field in CompareConfig.model_fields.items():
        value = getattr(config, name)
        if name in ("force", "dry_run", "transfer", "train") or value == field.get_default(call_default_factory=True):
            continue
        flag = f"--{name.replace('_', '-')}"
        if name == "source":
            words += [word for source in value for word in (flag, source)]
        elif name == "grid":
            words += [word for key, values in value.items() for word in (flag, f"{key}={_list(values)}")]
        elif value is True:
            words.append(flag)
        else:
            words += [flag, ",".join(value) if isinstance(value, tuple) else str(value)]
    for command in ("transfer", "train"):
        for key, value in _flatten(getattr(config, command), command):
            words += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
    return shlex.join(words)


def _list(values: tuple[Any, ...]) -> str:
    if all(isinstance(value, (int, float, str)) and "," not in str(value) for value in values):
        return ",".join(json.dumps(value) if isinstance(value, bool) else str(value) for value in values)
    return json.dumps(list(values))


def _flatten(settings: dict[str, Any], prefix: str) -> list[tuple[str, Any]]:
    flat = []
    for key, value in settings.items():
        name = f"{prefix}.{key}"
        flat += _flatten(value, name) if isinstance(value, dict) else [(name, value)]
    return flat

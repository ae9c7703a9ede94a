"""Settings from a YAML file and from `--set key=value`, merged into one mapping."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from tlvcli.core.errors import TlvError


def gather_settings(
    config_path: Path | None, assignments: Iterable[str], flags: Mapping[str, Any]
) -> dict[str, Any]:
    """Return file < flags < `--set`, as a nested mapping; a flag of None was not given.

    Raises:
        TlvError: `config-unreadable` or `config-invalid`.
    """
    settings = dict(_read_yaml(config_path)) if config_path else {}
    for key, value in flags.items():
        if value is not None:
            settings[key] = value
    for assignment in assignments:
        _assign(settings, assignment)
    return settings


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TlvError(
            "config-unreadable", f"cannot read {path}: {error.strerror}", "check the path given to --config"
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise TlvError(
            "config-unreadable", f"{path} is not YAML{line}", "write keys and values, as in docs/config.md"
        ) from error
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise TlvError(
            "config-unreadable", f"{path} holds no mapping", "write keys and values, as in docs/config.md"
        )
    return {str(key).replace("-", "_"): value for key, value in content.items()}


def _assign(settings: dict[str, Any], assignment: str) -> None:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise TlvError(
            "config-invalid", f"--set {assignment} has no value", "write --set key=value, as in mapping.keep=random"
        )
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    # YAML reads a bare `off` as False, but to a user of --set it is a word.
    value = text if isinstance(value, bool) and text not in ("true", "false") else value
    *folders, leaf = key.replace("-", "_").split(".")
    for folder in folders:
        inner = settings.get(folder)
        settings[folder] = dict(inner) if isinstance(inner, Mapping) else {}
        settings = settings[folder]
    settings[leaf] = value

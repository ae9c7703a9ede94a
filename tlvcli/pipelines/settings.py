"""The settings of a run as a user gives them: a file, flags and `--set` merged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tlvcli.core.errors import TlvError


def given_settings(*, config_path: Path | None, flags: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Return file < flags < assignments, neither checked nor completed; a flag of None was not given.

    Raises:
        TlvError: `config-unreadable` or `config-invalid`.
    """
    settings: dict[str, Any] = {}
    if config_path:
        from tlvcli.io.config_files import read_settings

        settings = read_settings(config_path)
    settings.update({key: value for key, value in flags.items() if value is not None})
    for assignment in assignments:
        _assign(settings, assignment)
    return settings


def _assign(settings: dict[str, Any], assignment: str) -> None:
    key, equals, text = assignment.partition("=")
    if not equals or not key:
        raise TlvError(
            "config-invalid",
            f"--set {assignment} has no value",
            "write --set key=value, as in mapping.keep=random",
        )
    import yaml

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

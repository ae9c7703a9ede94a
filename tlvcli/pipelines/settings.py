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
    for key, value in flags.items():
        if value is not None:
            settings[key] = _beside(settings.get(key), value)
    for assignment in assignments:
        _assign(settings, assignment)
    return settings


def _beside(earlier: Any, value: Any) -> Any:
    """Return what a flag sets: of a setting with choices, those that it does not name stay as the file has them."""
    return {**earlier, **value} if isinstance(earlier, Mapping) and isinstance(value, Mapping) else value


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
    except Exception:  # a date or a tag that is none makes yaml raise almost anything
        value = text
    # YAML reads a bare `off` as False, but to a user of --set it is a word.
    value = text if isinstance(value, bool) and text not in ("true", "false") else value
    *folders, leaf = key.replace("-", "_").split(".")
    for folder in folders:
        inner = settings.get(folder)
        settings[folder] = dict(inner) if isinstance(inner, Mapping) else {}
        settings = settings[folder]
    settings[leaf] = value

"""Settings in a YAML file (JSON is YAML, so a report's `config` works too)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tlvcli.core.errors import TlvError
from tlvcli.io.plain_yaml import read_yaml

_HINT = "write keys and values, as in docs/config.md"
MAX_CONFIG_BYTES = 1_000_000
MAX_EVENTS = 20_000


def read_settings(path: Path) -> dict[str, Any]:
    """Return the file's mapping with `-` in keys read as `_`, or raise `config-unreadable`."""
    content = read_yaml(
        path, error_id="config-unreadable", hint=_HINT, most_bytes=MAX_CONFIG_BYTES, most_events=MAX_EVENTS
    )
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise TlvError("config-unreadable", f"{path} holds no mapping", _HINT)
    return {str(key).replace("-", "_"): value for key, value in content.items()}

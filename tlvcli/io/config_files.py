"""Settings in a YAML file (JSON is YAML, so a report's `config` works too)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tlvcli.core.errors import TlvError


def read_settings(path: Path) -> dict[str, Any]:
    """Return the file's mapping with `-` in keys read as `_`, or raise `config-unreadable`."""
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
        raise TlvError("config-unreadable", f"{path} holds no mapping", "write keys and values, as in docs/config.md")
    return {str(key).replace("-", "_"): value for key, value in content.items()}

"""From keyword arguments to settings: paths as text, and one clear error for what is no setting."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from tlvcli.core.config import Config, parse_config
from tlvcli.core.errors import TlvError

ConfigT = TypeVar("ConfigT", bound=Config)


def read_settings(model: type[ConfigT], given: Mapping[str, Any], also_known: Iterable[str] = ()) -> ConfigT:
    """Return the settings of a verb; paths may be any `os.PathLike`, alone or in a list.

    Raises:
        TlvError: `config-invalid`, naming every fault and the nearest known name; `module-in-memory`.
    """
    return parse_config(model, plain_values(given), also_known=also_known)


def plain_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with paths as text.

    Raises:
        TlvError: `module-in-memory`.
    """
    return {name: _plain(name, value) for name, value in given.items()}


def _plain(name: str, value: Any) -> Any:
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, (list, tuple)):
        return [_plain(name, entry) for entry in value]
    if hasattr(value, "state_dict"):
        raise TlvError(
            "module-in-memory",
            f"{name} is a {type(value).__name__} in memory; tlv reads checkpoints from files",
            "save it first: safetensors.torch.save_file(model.state_dict(), 'model.safetensors')",
        )
    return value

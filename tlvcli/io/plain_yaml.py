"""YAML that a person writes: plain data of a bounded size, without the parts of YAML that can stand for anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from tlvcli.core.errors import TlvError

_MAX_DEPTH = 100

# The C parser of libyaml where there is one, which is ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_yaml(path: Path, *, error_id: str, hint: str, most_bytes: int, most_events: int) -> Any:
    """Return the plain data in a YAML file, or in a pipe; None of an empty one.

    Args:
        path: the file.
        error_id: of every error.
        hint: of every error.
        most_bytes: size of the largest file.
        most_events: about the number of its values; each takes a kilobyte while it is read.

    Raises:
        TlvError: `error_id`, naming the line where there is one.
    """
    text = _read(path, error_id, hint, most_bytes)
    try:
        depth = 0
        for number, event in enumerate(yaml.parse(text, Loader=_Loader)):
            if number > most_events:
                raise TlvError(error_id, f"{path} holds more than {most_events} values", hint)
            # An alias can stand for any amount of text, and libyaml follows nesting until the stack ends.
            if isinstance(event, yaml.AliasEvent):
                raise TlvError(error_id, f"{path} uses YAML aliases{_line(event)}", hint)
            getattr(event, "value", "").encode()  # raises where an escape wrote half a character
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MAX_DEPTH:
                raise TlvError(error_id, f"{path} is nested more than {_MAX_DEPTH} deep{_line(event)}", hint)
        return yaml.load(text, Loader=_Loader)  # a safe loader: plain data only
    except TlvError:
        raise
    # A tag or a date that is none makes the loader raise almost anything.
    except Exception as error:
        raise TlvError(error_id, f"{path} is not YAML{_line(error)}", hint) from error


def _read(path: Path, error_id: str, hint: str, most_bytes: int) -> str:
    try:
        with path.open("rb") as stream:  # not its size first: a device has none
            raw = stream.read(most_bytes + 1)
    except OSError as error:
        raise TlvError(error_id, f"cannot read {path}: {error.strerror}", "check the path") from error
    if len(raw) > most_bytes:
        raise TlvError(error_id, f"{path} is larger than {most_bytes} bytes", hint)
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise TlvError(error_id, f"{path} is not YAML", hint) from error


def _line(found: Any) -> str:
    mark = getattr(found, "problem_mark", None) or getattr(found, "start_mark", None)
    return f", line {mark.line + 1}" if mark else ""

"""What the grid in a folder was when it was run last: it may grow, but not become another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.io.atomic import atomic_file
from tlvcli.pipelines.comparing.config import DEFAULT_METHODS, CompareConfig
from tlvcli.pipelines.comparing.folder import CompareFolder

# They say how the cells are run and what is shown of them, not what they are.
_FREE = frozenset({"out", "jobs", "keep", "baseline", "download", "offline", "dry_run", "force"})
_GROWING = ("source", "methods", "strategies")


class GridRecord(Config):
    """The settings of a grid, and what it was run on: files and images by their hashes."""

    settings: dict[str, Any]
    inputs: dict[str, str]


def make_record(config: CompareConfig, inputs: dict[str, str]) -> GridRecord:
    """Return the record of a grid as JSON will give it back."""
    settings = {key: value for key, value in config.model_dump(mode="json").items() if key not in _FREE}
    if config.target_arch and config.methods is None:
        settings["methods"] = list(DEFAULT_METHODS)
    record = GridRecord(settings=settings, inputs=inputs)
    return GridRecord.model_validate_json(record.model_dump_json())


def read_grid(folder: CompareFolder) -> GridRecord | None:
    """Return the grid that the folder was run with, None where it is new.

    Raises:
        TlvError: `compare-invalid`.
    """
    if not folder.grid_path.is_file():
        return None
    try:
        return GridRecord.model_validate_json(folder.grid_path.read_bytes())
    except (OSError, ValidationError) as error:
        raise TlvError(
            "compare-invalid",
            f"{folder.grid_path} is no grid that this version of tlv can go on with",
            "name another folder, or begin anew in this one with --force",
        ) from error


def write_grid(folder: CompareFolder, record: GridRecord) -> None:
    """Replace the record of the folder."""
    with atomic_file(folder.grid_path, force=True) as stream:
        stream.write(record.model_dump_json(indent=1).encode() + b"\n")


def refuse_other_grid(folder: CompareFolder, then: GridRecord, now: GridRecord) -> None:
    """Raise `compare-differs`, naming every difference but what a grid may grow by: values, methods, seeds, sources."""
    differing = [*_differences(then.settings, now.settings), *_changed_inputs(then.inputs, now.inputs)]
    if differing:
        raise TlvError(
            "compare-differs",
            f"{folder.path} holds another comparison: {'; '.join(differing)}",
            "a grid may grow, and nothing else: give what it had, name another folder, or begin anew with --force",
        )


def _differences(then: dict[str, Any], now: dict[str, Any]) -> Iterator[str]:
    for key in _GROWING:
        missing = [value for value in then[key] or () if value not in (now[key] or ())]
        if missing:
            yield f"{key} had {_words(missing)}"
    if then["seeds"] > now["seeds"]:
        yield f"seeds were {then['seeds']}"
    yield from _grid_differences(then["grid"], now["grid"])
    for key, value in then.items():
        if key not in (*_GROWING, "seeds", "grid") and value != now.get(key):
            yield from _say_changed(key, value, now.get(key))


def _grid_differences(then: dict[str, list[Any]], now: dict[str, list[Any]]) -> Iterator[str]:
    for key in {**then, **now}:
        if key not in now:
            yield f"--grid {key} was {_words(then[key])}"
        elif key not in then:
            yield f"--grid {key} was not there"
        elif missing := [value for value in then[key] if value not in now[key]]:
            yield f"--grid {key} had {_words(missing)}"


def _say_changed(key: str, then: Any, now: Any) -> Iterator[str]:
    if isinstance(then, dict) and isinstance(now, dict):
        for inner in {**then, **now}:
            if then.get(inner) != now.get(inner):
                yield from _say_changed(f"{key}.{inner}", then.get(inner), now.get(inner))
    else:
        yield f"{key} was {_word(then)} and would be {_word(now)}"


def _changed_inputs(then: dict[str, str], now: dict[str, str]) -> Iterator[str]:
    for name, value in then.items():
        if name in now and now[name] != value:
            have = "have" if name.endswith("images") else "has"
            yield f"{name} {have} changed since"


def _words(values: list[Any]) -> str:
    return ", ".join(map(_word, values))


def _word(value: Any) -> str:
    return "not given" if value is None else str(value)

"""Which class a folder of images holds, as a file says it: JSON, YAML, or CSV with two columns."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from tlvcli.core.errors import TlvError

_HINT = "map each folder to a class name or an index: ants: 310 in YAML or JSON, ants,310 in CSV"
_HEAD = ("folder", "class")


def read_class_map(path: Path) -> dict[str, str | int]:
    """Return folder -> class name or index; in CSV a first row `folder,class` is the head.

    Raises:
        TlvError: `class-map-unreadable` or `class-map-invalid`, naming the entry.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise TlvError("class-map-unreadable", f"cannot read {path}: {error.strerror}", _HINT) from error
    except UnicodeDecodeError as error:
        raise TlvError("class-map-unreadable", f"{path} is not text in UTF-8", _HINT) from error
    entries = _read_csv(text, path) if path.suffix.lower() == ".csv" else _read_yaml(text, path)
    class_map: dict[str, str | int] = {}
    for folder, value in entries:
        if not isinstance(value, str | int) or isinstance(value, bool):
            raise TlvError("class-map-invalid", f"{path}: {folder} is mapped to {value!r}", _HINT)
        if str(folder) in class_map:
            raise TlvError("class-map-invalid", f"{path} maps {folder} twice", "leave one of the two out")
        class_map[str(folder)] = value
    return class_map


def _read_yaml(text: str, path: Path) -> Iterable[tuple[object, object]]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise TlvError("class-map-unreadable", f"{path} is neither JSON nor YAML{line}", _HINT) from error
    if not isinstance(content, Mapping):
        raise TlvError("class-map-invalid", f"{path} holds no mapping", _HINT)
    return content.items()


def _read_csv(text: str, path: Path) -> Iterable[tuple[str, str]]:
    rows = [[cell.strip() for cell in row] for row in csv.reader(text.splitlines()) if row]
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise TlvError("class-map-invalid", f"{path}: row {number} has {len(row)} columns, not two", _HINT)
    return [(folder, value) for folder, value in rows if (folder, value) != _HEAD]

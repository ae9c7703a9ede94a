"""Tables as CSV on disk."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from tlvcli.core.file_names import as_text
from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import atomic_file

Cell = str | int | float | bool | None


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Cell]], *, force: bool) -> OutputInfo:
    """Write a table in UTF-8 with `\\n` after each row, whole or not at all; None is an empty cell, True is 1."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([int(cell) if isinstance(cell, bool) else cell for cell in row] for row in rows)
    data = as_text(text.getvalue()).encode()
    with atomic_file(path, force=force) as stream:
        stream.write(data)
    return OutputInfo(role="csv", path=str(path), sha256=hashlib.sha256(data).hexdigest())

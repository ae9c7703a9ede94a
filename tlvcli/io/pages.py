"""Pages of HTML on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tlvcli.core.file_names import as_text
from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import atomic_file


def write_page(path: Path, html: str, *, force: bool) -> OutputInfo:
    """Write a page in UTF-8, whole or not at all."""
    data = as_text(html).encode()
    with atomic_file(path, force=force) as stream:
        stream.write(data)
    return OutputInfo(role="page", path=str(path), sha256=hashlib.sha256(data).hexdigest())

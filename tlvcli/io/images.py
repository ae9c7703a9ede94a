"""Pictures on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import atomic_file


def write_image(path: Path, data: bytes, *, force: bool) -> OutputInfo:
    """Write a picture, whole or not at all; its folder is made where its parent exists."""
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise TlvError(
            "output-not-writable", f"cannot make the folder {path.parent}: {error.strerror}", "choose another folder"
        ) from error
    with atomic_file(path, force=force) as stream:
        stream.write(data)
    return OutputInfo(role="plot", path=str(path), sha256=hashlib.sha256(data).hexdigest())

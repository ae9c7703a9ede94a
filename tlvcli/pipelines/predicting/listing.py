"""The names of images in a list, as `find` writes one."""

from __future__ import annotations

import os
from typing import BinaryIO


def read_list(stream: BinaryIO, *, null: bool) -> list[str]:
    """Return the names, one to a line or, with `null`, ended by a zero byte; empty ones are left out.

    Names are bytes: what is no UTF-8 still finds its file. A line may end as Windows ends it.
    """
    content = stream.read()
    parts = content.split(b"\0") if null else [line.removesuffix(b"\r") for line in content.split(b"\n")]
    return [os.fsdecode(part) for part in parts if part]

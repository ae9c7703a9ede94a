"""Findings about how text comes in and goes out."""

from __future__ import annotations

import codecs
import locale
import os
import shutil
import sys
from collections.abc import Iterator

from tlvcli.pipelines.health.result import Finding


def find_terminal() -> Iterator[Finding]:
    """Yield what stdout is, and whether the locale has the characters that tlv prints."""
    encoding = locale.getpreferredencoding(False)
    is_unicode = codecs.lookup(encoding).name == "utf-8"
    yield Finding(
        area="terminal",
        name="locale",
        status="ok" if is_unicode else "warning",
        found=f"{encoding}, {_language()}",
        hint=None if is_unicode else "bars and foreign names are printed as ?: export LC_ALL=C.UTF-8",
    )
    if sys.stdout is not None and sys.stdout.isatty():
        size = shutil.get_terminal_size()
        colours = "no colours (NO_COLOR)" if os.environ.get("NO_COLOR") else "colours"
        found = f"{os.environ.get('TERM', 'unnamed')}, {size.columns} columns, {colours}"
    else:
        found = "stdout is no terminal: no colours, and nothing is cut"
    yield Finding(area="terminal", name="terminal", status="ok", found=found)


def _language() -> str:
    return next((os.environ[name] for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "none set")

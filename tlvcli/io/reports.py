"""Reports on disk."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from tlvcli.core.report import OutputInfo, Report
from tlvcli.io.atomic import atomic_file


def write_report(report: Report[Any], path: Path, *, force: bool) -> OutputInfo:
    """Write `report` as JSON to `path`, whole or not at all."""
    data = report.to_json().encode()
    with atomic_file(path, force=force) as stream:
        stream.write(data)
    return OutputInfo(role="report", path=str(path), sha256=hashlib.sha256(data).hexdigest())

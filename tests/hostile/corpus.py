"""All hostile files."""

from __future__ import annotations

from tests.hostile import archives, executions, headers, not_files, pickle_bombs
from tests.hostile.case import Case


def all_cases() -> dict[str, Case]:
    """Return every case by name."""
    found = [
        *executions.cases(),
        *pickle_bombs.cases(),
        *archives.cases(),
        *headers.cases(),
        *not_files.cases(),
    ]
    by_name = {case.name: case for case in found}
    assert len(by_name) == len(found), "two cases have one name"
    return by_name

"""What `tlv inspect --verify` shows: the file's hash, and a line for every file of its history."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlvcli.cli.console import safe
from tlvcli.pipelines.inspection.verification import VerificationSection, VerifiedAncestor

if TYPE_CHECKING:
    from rich.console import Console

_STYLES = {"holds": "green", "changed": "bold red", "missing": "yellow", "unsafe name": "yellow"}


def render_verification(section: VerificationSection, console: Console) -> None:
    """Draw the verification, ancestors indented below what was made from them."""
    console.print(f"[bold]{'sha256':<12}[/] {section.sha256}", soft_wrap=True)
    if section.made_by is None:
        console.print(f"[bold]{'history':<12}[/] no provenance: written by another tool", soft_wrap=True)
    elif not section.ancestors:
        console.print(f"[bold]{'history':<12}[/] {safe(section.made_by)}, from no file", soft_wrap=True)
    else:
        console.print(f"[bold]{'history':<12}[/] {safe(section.made_by)}, from", soft_wrap=True)
    for entry in section.ancestors:
        indent = "  " * (entry.generation - 1)
        console.print(f"{_status(entry.status)} {indent}{safe(' '.join(_ancestor(entry)))}", soft_wrap=True)
    for report in section.reports:
        names = f" names {report.sha256[:12]}" if report.status == "changed" else " names this hash"
        console.print(f"{_status(report.status)} report {safe(report.path)}{names}", soft_wrap=True)


def _status(status: str) -> str:
    return f"[{_STYLES[status]}]{status:<12}[/]"


def _ancestor(entry: VerifiedAncestor) -> Iterator[str]:
    yield entry.name
    yield entry.sha256[:12]
    if entry.status == "changed" and entry.found_sha256:
        yield f"but {entry.path} is {entry.found_sha256[:12]}"
    elif entry.path:
        yield f"at {entry.path}"

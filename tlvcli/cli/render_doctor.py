"""What `tlv doctor` shows: a line for each finding, and below it what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.cli.console import results, safe, wrapped
from tlvcli.core.report import Report
from tlvcli.core.wording import counted
from tlvcli.pipelines.health.result import DoctorResult, Finding, Status

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS: dict[Status, str] = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "bold red"}
_WIDTH = max(map(len, _COLOURS))
_HINT = "hint: "


def render(report: Report[DoctorResult], *, verbose: bool, quiet: bool) -> None:
    """Draw the findings; `quiet` only those that are wrong, `verbose` with details, as where a package lies."""
    console, result = results(), report.result
    shown = [finding for finding in result.findings if not quiet or finding.status in ("warning", "error")]
    names = max((len(finding.name) for finding in shown), default=0)
    for finding in shown:
        status = f"[{_COLOURS[finding.status]}]{finding.status:<{_WIDTH}}[/]"
        text_column = _WIDTH + names + 4
        _write(
            console, f"{status}  {safe(finding.name):<{names}}  ", _text(finding, verbose=verbose), indent=text_column
        )
        if finding.hint is not None:
            before = f"{'':<{text_column}}[cyan]{_HINT}[/]"
            _write(console, before, finding.hint, indent=text_column + len(_HINT))
    if not quiet:
        found = [counted(result.errors, "error"), counted(result.warnings, "warning")]
        console.print(
            f"\ntlv {report.tlv_version}: {', '.join(found)}" if result.errors or result.warnings else "\nall well"
        )


def _write(console: Console, before: str, text: str, *, indent: int) -> None:
    """Write a text behind what is before it; on a terminal its further lines start below its first word."""
    first, *more = wrapped(console, text, indent)
    console.print(before + safe(first), soft_wrap=True)
    for line in more:
        console.print(" " * indent + safe(line), soft_wrap=True)


def _text(finding: Finding, *, verbose: bool) -> str:
    return f"{finding.found} ({finding.detail})" if verbose and finding.detail else finding.found

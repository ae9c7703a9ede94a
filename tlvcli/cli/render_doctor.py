"""What `tlv doctor` shows: a line for each finding, and below it what to do."""

from __future__ import annotations

from tlvcli.cli.console import results, safe
from tlvcli.core.report import Report
from tlvcli.core.wording import counted
from tlvcli.pipelines.health.result import DoctorResult, Finding, Status

_COLOURS: dict[Status, str] = {"ok": "green", "info": "cyan", "warning": "yellow", "error": "bold red"}
_WIDTH = max(map(len, _COLOURS))


def render(report: Report[DoctorResult], *, verbose: bool, quiet: bool) -> None:
    """Draw the findings; `quiet` only those that are wrong, `verbose` with details, as where a package lies."""
    console, result = results(), report.result
    shown = [finding for finding in result.findings if not quiet or finding.status in ("warning", "error")]
    names = max((len(finding.name) for finding in shown), default=0)
    for finding in shown:
        status = f"[{_COLOURS[finding.status]}]{finding.status:<{_WIDTH}}[/]"
        console.print(
            f"{status}  {safe(finding.name):<{names}}  {safe(_text(finding, verbose=verbose))}", soft_wrap=True
        )
        if finding.hint is not None:
            console.print(f"{'':<{_WIDTH}}  {'':<{names}}  [cyan]hint:[/] {safe(finding.hint)}", soft_wrap=True)
    if not quiet:
        found = [counted(result.errors, "error"), counted(result.warnings, "warning")]
        console.print(
            f"\ntlv {report.tlv_version}: {', '.join(found)}" if result.errors or result.warnings else "\nall well"
        )


def _text(finding: Finding, *, verbose: bool) -> str:
    return f"{finding.found} ({finding.detail})" if verbose and finding.detail else finding.found

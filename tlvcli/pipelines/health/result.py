"""What `tlv doctor` reports."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tlvcli.core.report import ReportPart

Area = Literal["program", "packages", "extras", "devices", "machine", "folders", "terminal", "network"]
Status = Literal["ok", "info", "warning", "error"]


class Finding(ReportPart):
    """One thing that was looked at."""

    area: Area
    name: str
    status: Status = Field(
        description="info: nothing is wrong; warning: something will not work, or be slow; error: tlv fails"
    )
    found: str
    hint: str | None = Field(None, description="what to do, where something is to be done")
    detail: str | None = Field(None, description="where it lies, or what exactly was said")


class DoctorResult(ReportPart):
    """All that was looked at, in the order of areas."""

    errors: int
    warnings: int
    findings: list[Finding]

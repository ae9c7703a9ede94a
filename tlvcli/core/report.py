"""The envelope of every JSON report: one shape for all commands, the result differs."""

from __future__ import annotations

import json
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic_core import PydanticSerializationError

from tlvcli.core.file_names import NamedText

ResultT = TypeVar("ResultT", bound=BaseModel)


class ReportPart(BaseModel):
    """A frozen part of a report; a NaN in it is a bug, not a value."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, protected_namespaces=())


class RunInfo(ReportPart):
    """What differs from run to run; everything else in a report repeats."""

    started_at: str = Field(description="UTC, ISO 8601")
    seconds: float = Field(description="wall time of the command")
    host: str
    device: str = Field(description="cpu, or cuda with the name of the card; none where no tensor was computed")
    versions: dict[str, str] = Field(description="tlv, python, and torch and torchvision where they were loaded")


class InputInfo(ReportPart):
    """One checkpoint or data set that the command read."""

    role: str = Field(description="source, checkpoint, target, reference, plan, mask or data")
    path: str
    sha256: str | None = Field(default=None, description="null where the command did not read the whole file")
    format: str
    key: str | None = Field(default=None, description="which part of a nested checkpoint was taken")
    tensors: int | None = None
    parameters: int | None = None
    images: int | None = None
    order: str | None = Field(default=None, description="where the order of the tensors comes from")


class OutputInfo(ReportPart):
    """One file that the command wrote."""

    role: str
    path: str
    sha256: str


class Gate(ReportPart):
    """A condition that the user set; where it is not met, the command is done and exits 1."""

    flag: str = Field(description="as the user writes it, as in --min-coverage 0.8")
    met: bool
    message: NamedText = Field(description="what was found")


class Report(ReportPart, Generic[ResultT]):
    """A report: what ran, on what, with which settings, and what came out."""

    schema_id: str = Field(alias="schema", description="tlv.COMMAND/VERSION")
    tlv_version: str
    run: RunInfo
    inputs: list[InputInfo]
    config: dict[str, Any] = Field(description="resolved; fed back with --config it repeats the run")
    result: ResultT
    outputs: list[OutputInfo]
    warnings: list[NamedText]
    gates: list[Gate] = Field(
        default_factory=list, description="conditions that the user set; exit 1 if one is not met"
    )

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, serialize_by_alias=True)

    def to_json(self) -> str:
        """Return the report as indented JSON with a final newline."""
        try:
            return self.model_dump_json(by_alias=True, indent=2) + "\n"
        except PydanticSerializationError:  # the path of a file whose name is not UTF-8, which JSON can only escape
            return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2) + "\n"

"""What the report of `tlv inspect` holds."""

from __future__ import annotations

from pydantic import Field

from tlvcli.core.provenance import Architecture, Provenance
from tlvcli.core.report import ReportPart
from tlvcli.models.recognition.describe import Description
from tlvcli.models.recognition.result import Recognition
from tlvcli.pipelines.inspection.content import InspectedLayer, InspectTotals
from tlvcli.pipelines.inspection.difference import DifferenceSection
from tlvcli.pipelines.inspection.plan import PlanSection
from tlvcli.pipelines.inspection.statistics import StatisticsSection
from tlvcli.pipelines.inspection.summary import SummarySection
from tlvcli.pipelines.inspection.verification import VerificationSection


class BesideTensors(ReportPart):
    """An entry of the file that was not taken."""

    name: str
    holds: str = Field(description="what it is, in words; a short value itself")
    tensors: int = Field(description="in it, in however many mappings and lists")
    bytes: int = Field(description="of these tensors")


class InspectResult(ReportPart):
    """The content of one checkpoint, and the sections that were asked for."""

    kind: str = Field(description="checkpoint, or what else tlv wrote, as its metadata say: plan-arrays, mask, resume")
    format: str = Field(description="safetensors, sharded, pytorch-zip, pytorch-legacy, or random initialisation")
    files: int = Field(description="number of files: an index and its shards, or one")
    file_bytes: int | None = Field(description="of all files; null where there is none")
    architecture: Architecture | None = Field(description="null where the file does not name it")
    recognition: Recognition | None = Field(description="what names and shapes show; null: no architecture we know")
    description: Description = Field(description="what names and shapes say of any network")
    key: str | None = Field(description="the part of a nested file that was taken; null: the top level")
    prefix: str = Field(description="what wrapped modules had put before every name; not in the names here")
    alternatives: list[str] = Field(description="other parts with tensors, for --key; a dot is the top level")
    ignored: list[str] = Field(description="all other entries of the file, at the level taken and above")
    beside: list[BesideTensors] = Field(description="what the entries that were not taken hold")
    totals: InspectTotals = Field(description="of all layers, whatever --layers selects")
    layers: list[InspectedLayer] = Field(description="in the order of the checkpoint")
    metadata: dict[str, str] = Field(description="text in the file's header, without tlv's own")
    provenance: Provenance | None = Field(description="null where another tool wrote the file")
    plan: PlanSection | None = Field(None, description="null for anything but a saved transfer plan")
    statistics: StatisticsSection | None = Field(None, description="null without --stats")
    difference: DifferenceSection | None = Field(None, description="null without --against")
    verification: VerificationSection | None = Field(None, description="null without --verify")
    summary: SummarySection | None = Field(None, description="null without --summary")

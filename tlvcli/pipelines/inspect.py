"""What a checkpoint is and holds, and on request its values, its history, its cost, and how it differs from another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import Gate, InputInfo, OutputInfo, Report, ReportPart
from tlvcli.core.runtime import Stopwatch
from tlvcli.core.tensors import TensorsInMemory, TensorSource
from tlvcli.io.checkpoint import Checkpoint, open_checkpoint
from tlvcli.io.left_out import LeftOut
from tlvcli.models.recognition.describe import describe
from tlvcli.models.recognition.identify import identify
from tlvcli.pipelines.checkpoints import open_reference, recognise_file
from tlvcli.pipelines.inspection.content import (
    InspectedLayer,
    inspect_layers,
    select_layers,
    sum_layers,
)
from tlvcli.pipelines.inspection.difference import DifferenceSection, describe_difference
from tlvcli.pipelines.inspection.gates import finite_gate, history_gate, identity_gate
from tlvcli.pipelines.inspection.plan import describe_plan, is_plan
from tlvcli.pipelines.inspection.result import BesideTensors, InspectResult
from tlvcli.pipelines.inspection.statistics import describe_statistics, statistics_warnings
from tlvcli.pipelines.inspection.summary import SummarySection, refuse_failed_summary, summarise_checkpoint
from tlvcli.pipelines.inspection.verification import verify

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = "tlv.inspect/1"
_RANDOM_FORMAT = "random initialisation"


class InspectConfig(Config):
    """Settings of `tlv inspect`."""

    checkpoint: str = Field(description="checkpoint file of any format, ARCH@WEIGHTS or ARCH@random")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    layers: str | None = Field(None, description="glob of layer names; they and what lies below them are listed")
    stats: bool = Field(False, description="read every tensor and describe its values")
    fail_on: Literal["nan"] | None = Field(None, description="nan: exit 1 if a tensor holds NaN or Inf; reads them all")
    against: str | None = Field(None, description="compare with this checkpoint, tensor by tensor")
    against_key: str | None = Field(None, description="which part of the other checkpoint, where it is nested")
    atol: float = Field(0.0, ge=0, description="of --against: equal if |a - b| <= atol + rtol |a|")
    rtol: float = Field(0.0, ge=0, description="of --against: see atol")
    exit_code: bool = Field(False, description="of --against: exit 1 if the checkpoints differ")
    verify: bool = Field(False, description="hash the file, and what it was made from; exit 1 if something changed")
    summary: bool = Field(False, description="call the network on one input: output shapes, mult-adds, sizes")
    arch: str | None = Field(None, description="architecture for the summary; default: what the file says or shows")
    input_size: str | None = Field(None, description="of the summary: 224, 3,224,224 or 1,3,224,224")
    plots: str | None = Field(None, description="folder for a histogram of each layer's weights")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")

    @model_validator(mode="after")
    def _refuse_idle(self) -> InspectConfig:
        for section, names in (("against", ("exit_code", "atol", "rtol", "against_key")), ("summary", ("input_size",))):
            idle = [name for name in names if getattr(self, name)]
            if idle and not getattr(self, section):
                raise ValueError(f"{idle[0]} means nothing without {section}")
        return self


@dataclass(frozen=True)
class _Subject:
    """What is inspected: a file, or an architecture's random start."""

    tensors: TensorSource
    file: Checkpoint | None
    architecture: Architecture | None


def run(config: InspectConfig) -> Report[InspectResult]:
    """Describe a checkpoint; of a safetensors file only the header is read, and torch is not imported."""
    watch = Stopwatch()
    if is_plan(Path(config.checkpoint)):
        return _report_plan(config, watch)
    subject = _open(config.checkpoint, config.key, offline=config.offline)
    layers = inspect_layers(subject.tensors.specs)
    chosen = select_layers(layers, config.layers)
    specs = tuple(spec for spec in subject.tensors.specs if config.layers is None or spec.name in _names(chosen))
    inputs = [_input_info("checkpoint", config.checkpoint, subject, layers)]
    outputs: list[OutputInfo] = []
    warnings: list[str] = []
    gates: list[Gate] = []

    result = _describe(subject, layers, chosen)
    sections: dict[str, ReportPart] = {}
    if config.stats or config.fail_on:
        statistics = describe_statistics(_Selected(subject.tensors, specs))
        sections["statistics"] = statistics
        warnings += statistics_warnings(statistics)
        if config.fail_on:
            gates.append(finite_gate(statistics))
    if config.against:
        other = _open(config.against, config.against_key, offline=config.offline)
        inputs.append(_input_info("reference", config.against, other, inspect_layers(other.tensors.specs)))
        difference = _compare(config, subject, other, specs)
        sections["difference"] = difference
        if config.exit_code:
            gates.append(identity_gate(difference))
    if config.verify:
        verification = verify(_file_of(subject, config))
        sections["verification"] = verification
        gates.append(history_gate(verification))
    if config.summary:
        sections["summary"] = _summarise(config, subject)
    if config.plots:
        from tlvcli.pipelines.inspection.plots import draw_histograms

        outputs += draw_histograms(_Selected(subject.tensors, specs), chosen, Path(config.plots), force=config.force)
    return Report[InspectResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=inputs,
        config=config.model_dump(),
        result=result.model_copy(update=sections),
        outputs=outputs,
        warnings=warnings,
        gates=gates,
    )


def _report_plan(config: InspectConfig, watch: Stopwatch) -> Report[InspectResult]:
    """Return the report on a saved plan, which holds no tensors but index maps."""
    path = Path(config.checkpoint)
    asked = [name for name in ("stats", "against", "verify", "summary", "plots") if getattr(config, name)]
    if asked:
        raise TlvError("not-a-checkpoint", f"{path} is a transfer plan, which has no {asked[0]}", "name a checkpoint")
    subject = _Subject(TensorsInMemory({}), None, None)
    result = _describe(subject, [], [])
    content = {"kind": "plan", "format": "yaml", "files": 1, "file_bytes": path.stat().st_size}
    return Report[InspectResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=[InputInfo(role="plan", path=str(path), format="yaml")],
        config=config.model_dump(),
        result=result.model_copy(update={**content, "plan": describe_plan(path)}),
        outputs=[],
        warnings=[],
    )


def refuse_failure(report: Report[InspectResult]) -> None:
    """Raise `summary-failed` where a layer failed in the summary; the rows up to it are in the report."""
    if report.result.summary is not None:
        refuse_failed_summary(report.result.summary)


def _names(layers: list[InspectedLayer]) -> frozenset[str]:
    return frozenset(tensor.name for layer in layers for tensor in layer.tensors)


@dataclass(frozen=True)
class _Selected:
    """Some tensors of a source."""

    source: TensorSource
    specs: tuple[TensorSpec, ...]

    def read(self, name: str) -> Tensor:
        return self.source.read(name)

    def read_bytes(self, name: str) -> memoryview:
        return self.source.read_bytes(name)


def _open(reference: str, key: str | None, *, offline: bool) -> _Subject:
    path = Path(reference)
    if is_plan(path):
        raise TlvError("not-a-checkpoint", f"{path} is a transfer plan", "name a checkpoint")
    if "@" not in path.name or path.exists():
        file = open_checkpoint(path, key=key)
        if file.provenance is None:
            file, _ = recognise_file(file)
        return _Subject(file, file, file.provenance.architecture if file.provenance else None)
    opened = open_reference(reference, role="checkpoint", key=key, arch=None, offline=offline, seed=0)
    return _Subject(opened.tensors, opened.file, opened.architecture)


def _input_info(role: str, reference: str, subject: _Subject, layers: list[InspectedLayer]) -> InputInfo:
    file = subject.file
    return InputInfo(
        role=role,
        path=str(file.path) if file else reference,
        format=file.format if file else _RANDOM_FORMAT,
        key=file.key if file else None,
        tensors=len(subject.tensors.specs),
        parameters=sum(layer.parameters for layer in layers),
        order=file.order if file else "architecture",
    )


def _describe(subject: _Subject, layers: list[InspectedLayer], chosen: list[InspectedLayer]) -> InspectResult:
    """Return the content of a checkpoint, from names, shapes and dtypes alone."""
    file = subject.file
    provenance = file.provenance if file else None
    metadata = dict(sorted(file.metadata.items())) if file else {}
    metadata.pop("tlv_kind", None)
    metadata.pop(_kind_of(file), None)  # a state's place and settings are long, and its own business
    if provenance:
        metadata.pop("tlv")
    return InspectResult(
        kind=_kind_of(file),
        format=file.format if file else _RANDOM_FORMAT,
        files=len(file.files) if file else 0,
        file_bytes=file.num_bytes if file else None,
        architecture=subject.architecture,
        recognition=identify(subject.tensors.specs),
        description=describe(subject.tensors.specs),
        key=file.key if file else None,
        prefix=file.prefix if file else "",
        alternatives=sorted(file.alternatives) if file else [],
        ignored=sorted(file.ignored) if file else [],
        beside=[_describe_left_out(entry) for entry in file.left_out] if file else [],
        totals=sum_layers(layers),
        layers=chosen,
        metadata=metadata,
        provenance=provenance,
    )


def _kind_of(file: Checkpoint | None) -> str:
    return file.metadata.get("tlv_kind", "checkpoint") if file else "checkpoint"


def _describe_left_out(entry: LeftOut) -> BesideTensors:
    return BesideTensors(name=entry.name, holds=entry.holds, tensors=entry.num_tensors, bytes=entry.num_bytes)


def _compare(
    config: InspectConfig, subject: _Subject, other: _Subject, specs: tuple[TensorSpec, ...]
) -> DifferenceSection:
    kinds = [_kind_of(one.file) for one in (subject, other)]
    if kinds[0] != kinds[1]:
        what = f"{config.checkpoint} is a {kinds[0]}, {config.against} a {kinds[1]}"
        raise TlvError("not-comparable", what, "compare files of one kind")
    names = {spec.name for spec in specs}
    reference = other.tensors.specs
    if config.layers is not None:  # a selected tensor may have gone, so the reference's own layers are selected too
        layers = select_layers(inspect_layers(reference), config.layers)
        reference = tuple(spec for spec in reference if spec.name in names | _names(layers))
    return describe_difference(
        _Selected(subject.tensors, specs), _Selected(other.tensors, reference), atol=config.atol, rtol=config.rtol
    )


def _file_of(subject: _Subject, config: InspectConfig) -> Checkpoint:
    if subject.file is None:
        raise TlvError("no-file", f"{config.checkpoint} is no file, so there is nothing to verify", "name a file")
    return subject.file


def _summarise(config: InspectConfig, subject: _Subject) -> SummarySection:
    if subject.file is None and subject.architecture is not None:
        name = config.arch or subject.architecture.name
        return summarise_checkpoint(
            subject.architecture.model_copy(update={"name": name}), input_size=config.input_size
        )
    opened = open_reference(
        config.checkpoint, role="checkpoint", key=config.key, arch=config.arch, offline=config.offline, seed=0
    )
    return summarise_checkpoint(opened, input_size=config.input_size)

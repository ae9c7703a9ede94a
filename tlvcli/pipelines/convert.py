"""Any checkpoint as clean safetensors: the weights under their own names, and an account of all the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.core.report import Gate, OutputInfo, Report, ReportPart
from tlvcli.core.runtime import Stopwatch
from tlvcli.core.wording import counted
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.checkpoint import Checkpoint
from tlvcli.io.reports import write_report
from tlvcli.io.safetensors_header import ITEM_BYTES
from tlvcli.io.sharded_writer import ShardPlan, plan_shards, refuse_existing_files
from tlvcli.pipelines.casting import cast
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, open_reference
from tlvcli.pipelines.finiteness import count_not_finite
from tlvcli.pipelines.mismatch import refuse_mismatch
from tlvcli.pipelines.outputs import Dtype, ShardSize, refuse_inputs, refuse_report, refuse_suffix
from tlvcli.pipelines.saving import save_tensors

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = "tlv.convert/1"


class ConvertConfig(Config):
    """Settings of `tlv convert`."""

    checkpoint: str = Field(description="checkpoint file of any format, ARCH@WEIGHTS or ARCH@random")
    out: str = Field(description="safetensors file to write")
    dtype: Dtype | None = Field(None, description="of all floating tensors; default: each keeps its own")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    ema: bool = Field(False, description="take the moving average of the weights instead of them")
    arch: str | None = Field(None, description="architecture to name in the file; the tensors must fit it")
    shard_size: ShardSize = Field(None, description="bytes in one file, as in 2GB, 500MB, 5GiB; larger is split")
    report: str | None = Field(None, description="JSON report to write; default: none")
    fail_on: Literal["nan"] | None = Field(None, description="nan: exit 1 if a tensor holds NaN or Inf")
    dry_run: bool = Field(False, description="check and report, write nothing")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")

    @model_validator(mode="after")
    def _name_one_part(self) -> ConvertConfig:
        if self.ema and self.key is not None:
            raise ValueError("ema: looks for the part itself; give --ema or --key, not both")
        return self


class LeftOutEntry(ReportPart):
    """An entry of the file that is not in the output."""

    name: str
    tensors: int = Field(description="in the entry and below it; 0 where it is something else")
    bytes: int = Field(description="of these tensors")


class NotFinite(ReportPart):
    """A tensor with values that are no numbers, which stay as they are."""

    name: str
    values: int = Field(description="that are NaN or Inf")


class ConvertResult(ReportPart):
    """What was written, and what of the file was not."""

    architecture: Architecture | None = Field(description="null where the tensors show none that is known")
    taken: str | None = Field(description="the part of a nested file that was taken; null: the top level")
    prefix: str = Field(description="what wrapped modules had put before every name, now stripped")
    num_tensors: int
    num_elements: int
    num_bytes: int = Field(description="of the tensors as written")
    num_files: int = Field(description="safetensors files; an index comes with more than one")
    num_cast: int = Field(description="tensors whose dtype changed")
    dtypes_before: dict[str, int] = Field(description="number of tensors of each dtype in the source")
    dtypes: dict[str, int] = Field(description="and in the output")
    shared: list[list[str]] = Field(description="names of one tensor in the source, each written by itself")
    shared_bytes: int = Field(description="bytes that this adds")
    left_out: list[LeftOutEntry] = Field(description="every other entry, at the level taken and above")
    not_finite: list[NotFinite] = Field(description="tensors that hold NaN or Inf, in the source and so in the output")


def run(config: ConvertConfig) -> Report[ConvertResult]:
    """Convert, and write the checkpoint unless it is a dry run; nothing of the source is lost without a word.

    Raises:
        TlvError: whatever is wrong with the source, its tensors or the outputs; then nothing is written.
    """
    watch = Stopwatch()
    out, report_path = Path(config.out), Path(config.report) if config.report else None
    refuse_inputs((out, *([report_path] if report_path else [])), [Path(config.checkpoint)])
    refuse_suffix(out)
    opened = open_reference(
        config.checkpoint,
        role="source",
        key=config.key,
        arch=config.arch,
        offline=config.offline,
        seed=0,
        ema=config.ema,
    )
    _refuse_unclear(config, opened)
    specs = tuple(_target_spec(spec, config.dtype) for spec in opened.tensors.specs)
    plan = plan_shards(out, specs, config.shard_size)
    _refuse_outputs(config, plan, report_path, opened)
    stale = plan.stale_files()
    not_finite: list[NotFinite] = []
    tensors = _converted(opened, specs, not_finite.append)
    outputs: tuple[OutputInfo, ...] = ()
    if not config.dry_run:
        outputs = save_tensors(
            out,
            specs,
            tensors,
            provenance=_provenance(config, opened),
            force=config.force,
            shard_bytes=config.shard_size,
        )
    else:
        for _ in tensors:
            pass
    report = Report[ConvertResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=[opened.info],
        config=config.model_dump(),
        result=_result(opened, plan, not_finite),
        outputs=list(outputs),
        warnings=[*opened.warnings, *_replaced(stale), *_broken(not_finite)],
        gates=[_finite_gate(not_finite)] if config.fail_on else [],
    )
    if report_path:
        write_report(report, report_path, force=config.force)
    return report


def _refuse_unclear(config: ConvertConfig, opened: OpenedCheckpoint) -> None:
    """Raise where the user must say what is meant: part or whole, this architecture or another."""
    file = opened.file
    if config.ema and file is None:
        raise TlvError("no-average", f"{config.checkpoint} has no moving average", "leave out --ema")
    if file and config.key is None:
        level = f"{file.key}." if file.key else ""
        inside = [name for name in file.alternatives if name != "." and name.startswith(level)]
        if inside:
            raise TlvError(
                "key-needed",
                f"{file.path} holds tensors beside {', '.join(inside)} in {file.key or 'the top level'}",
                f"--key {file.key or '.'} takes them without it, --key {inside[0]} takes that part",
            )
    if config.arch is not None and opened.architecture is not None:
        from tlvcli.models.builders import build_skeleton

        refuse_mismatch(opened, build_skeleton(opened.architecture), opened.architecture, frozenset())


def _refuse_outputs(config: ConvertConfig, plan: ShardPlan, report_path: Path | None, opened: OpenedCheckpoint) -> None:
    refuse_inputs([*plan.files, *plan.stale_files()], opened.files)
    if not config.dry_run:
        refuse_existing_files(plan, force=config.force)
    if report_path:
        refuse_inputs([report_path], opened.files)
        refuse_report(report_path, plan.files)
        refuse_existing(report_path, force=config.force)


def _target_spec(spec: TensorSpec, dtype: Dtype | None) -> TensorSpec:
    return replace(spec, dtype=dtype) if dtype and "float" in spec.dtype else spec


def _converted(
    opened: OpenedCheckpoint, specs: Sequence[TensorSpec], tell: Callable[[NotFinite], None]
) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors one at a time, and tell of those that hold NaN or Inf."""
    for spec in specs:
        tensor = opened.tensors.read(spec.name)
        if number := count_not_finite(tensor):
            tell(NotFinite(name=spec.name, values=number))
        yield spec.name, cast(tensor, spec.dtype, name=spec.name)


def _provenance(config: ConvertConfig, opened: OpenedCheckpoint) -> Provenance:
    file, ancestor = opened.file, opened.ancestor
    words = [
        *([f"moving average {file.key}" if config.ema else f"part {file.key}"] if file and file.key else []),
        f"to {config.dtype}" if config.dtype else "values unchanged",
    ]
    made_by = MadeBy(
        command="convert",
        method=", ".join(words),
        tlv_version=__version__,
        made_from=(ancestor,) if ancestor else (),
    )
    return Provenance(
        architecture=opened.stated,
        made_by=made_by,
        class_names=opened.class_names,
        preprocessing=opened.preprocessing,
    )


def _result(opened: OpenedCheckpoint, plan: ShardPlan, not_finite: Sequence[NotFinite]) -> ConvertResult:
    file: Checkpoint | None = opened.file
    before = {spec.name: spec.dtype for spec in opened.tensors.specs}
    specs = [spec for shard in plan.shards for spec in shard]
    shared = file.shared if file else ()
    left_out = sorted(file.left_out, key=lambda entry: entry.name) if file else []
    return ConvertResult(
        architecture=opened.stated,
        taken=file.key if file else None,
        prefix=file.prefix if file else "",
        num_tensors=len(specs),
        num_elements=sum(spec.num_elements for spec in specs),
        num_bytes=sum(spec.num_elements * ITEM_BYTES[spec.dtype] for spec in specs),
        num_files=len(plan.shards),
        num_cast=sum(spec.dtype != before[spec.name] for spec in specs),
        dtypes_before=dict(sorted(Counter(before.values()).items())),
        dtypes=dict(sorted(Counter(spec.dtype for spec in specs).items())),
        shared=[list(group.names) for group in shared],
        shared_bytes=sum(group.extra_bytes for group in shared),
        left_out=[
            LeftOutEntry(name=entry.name, tensors=entry.num_tensors, bytes=entry.num_bytes) for entry in left_out
        ],
        not_finite=sorted(not_finite, key=lambda entry: entry.name),
    )


def _replaced(stale: Sequence[Path]) -> list[str]:
    if not stale:
        return []
    return [f"an earlier checkpoint of this name goes too: {', '.join(path.name for path in stale)}"]


def _broken(not_finite: Sequence[NotFinite]) -> list[str]:
    if not not_finite:
        return []
    values, worst = sum(entry.values for entry in not_finite), max(not_finite, key=lambda entry: entry.values)
    where = f"{counted(len(not_finite), 'tensor')}, most in {worst.name}"
    return [f"{counted(values, 'value')} NaN or Inf, taken as they are, in {where}"]


def _finite_gate(not_finite: Sequence[NotFinite]) -> Gate:
    holds = "holds" if len(not_finite) == 1 else "hold"
    message = f"{counted(len(not_finite), 'tensor')} {holds} NaN or Inf" if not_finite else "every value is finite"
    return Gate(flag="--fail-on nan", met=not not_finite, message=message)

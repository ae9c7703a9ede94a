"""Any checkpoint as clean safetensors: the weights under their own names, and an account of all the rest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.core.report import OutputInfo, Report, ReportPart
from tlvcli.core.runtime import Stopwatch
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.checkpoint import Checkpoint
from tlvcli.io.reports import write_report
from tlvcli.io.safetensors_header import ITEM_BYTES
from tlvcli.io.sharded_writer import ShardPlan, plan_shards, refuse_existing_files
from tlvcli.pipelines.casting import can_overflow, cast
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, open_reference, refuse_mismatch
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
    tensors = _converted(opened, specs)
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
    elif _may_fail(opened, specs):
        for _ in tensors:
            pass
    report = Report[ConvertResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=[opened.info],
        config=config.model_dump(),
        result=_result(opened, plan),
        outputs=list(outputs),
        warnings=[*opened.warnings, *_replaced(stale)],
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


def _converted(opened: OpenedCheckpoint, specs: Sequence[TensorSpec]) -> Iterator[tuple[str, Tensor]]:
    for spec in specs:
        yield spec.name, cast(opened.tensors.read(spec.name), spec.dtype, name=spec.name)


def _may_fail(opened: OpenedCheckpoint, specs: Sequence[TensorSpec]) -> bool:
    pairs = zip(opened.tensors.specs, specs, strict=True)
    return any(before.dtype != after.dtype and can_overflow(before.dtype, after.dtype) for before, after in pairs)


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


def _result(opened: OpenedCheckpoint, plan: ShardPlan) -> ConvertResult:
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
    )


def _replaced(stale: Sequence[Path]) -> list[str]:
    if not stale:
        return []
    return [f"an earlier checkpoint of this name goes too: {', '.join(path.name for path in stale)}"]

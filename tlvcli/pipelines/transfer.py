"""Start another architecture from a checkpoint: open, plan, carry out, write, account for every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, model_validator

from tlvcli import __version__
from tlvcli.core.config import Config, known_keys
from tlvcli.core.graph import TensorSpec
from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.core.report import Gate, OutputInfo, Report, ReportPart
from tlvcli.core.runtime import Stopwatch
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.plan_files import refuse_existing_plan
from tlvcli.io.reports import write_report
from tlvcli.io.sharded_writer import plan_shards, refuse_existing_files
from tlvcli.methods.check_plan import refuse_misfit
from tlvcli.methods.recipe import Recipe, make_recipe
from tlvcli.methods.table import MAPPINGS, MATCHINGS, TRANSFER_METHODS, find_method
from tlvcli.pipelines.casting import cast
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, open_reference, save_tensors
from tlvcli.pipelines.outputs import Dtype, ShardSize, refuse_inputs, refuse_report, refuse_suffix
from tlvcli.pipelines.transferring.inputs import (
    Target,
    build_target,
    load_target,
    refuse_not_finite,
    source_graph,
    usual_target,
)
from tlvcli.pipelines.transferring.plans import (
    ReadPlan,
    narrow,
    open_plan,
    refuse_other_target,
    save_plan,
    source_warnings,
)

if TYPE_CHECKING:
    from torch import Tensor

SCHEMA = "tlv.transfer/1"


class TransferConfig(Config):
    """Settings of `tlv transfer`."""

    source: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    target_arch: str = Field(description="torchvision builder, timm:NAME, or path/to/file.py:callable")
    out: str | None = Field(None, description="safetensors file to write; a dry run needs none")
    method: str = Field("tlv", description="how the target is started: a transfer method's name")
    matching: dict[str, Any] = Field(default_factory=dict, description="which matching, by `method`, and its choices")
    mapping: dict[str, Any] = Field(default_factory=dict, description="which mapping, by `method`, and its choices")
    plan: str | None = Field(None, description="carry out this saved plan instead of making one")
    save_plan: str | None = Field(None, description="YAML file for the plan; its index maps go beside it")
    only: list[str] = Field(default_factory=list, description="globs of target layers: no other is written to")
    skip: list[str] = Field(default_factory=list, description="globs of target layers that are left alone")
    num_classes: int | None = Field(None, ge=1, description="classes of the target; default: the source's, else 1000")
    in_chans: int | None = Field(None, ge=1, description="input channels of the target; default: the source's, else 3")
    seed: int = Field(0, ge=0, description="seeds the target's initialisation and every draw of the method")
    source_arch: str | None = Field(None, description="architecture of the source; default: what it says or shows")
    target_checkpoint: str | None = Field(None, description="start the target from this file, not from fresh noise")
    dtype: Dtype | None = Field(None, description="floating dtype of the output; default: the source's own")
    shard_size: ShardSize = Field(None, description="bytes in one file, as in 2GB, 500MB, 5GiB; larger is split")
    key: str | None = Field(None, description="which part of a nested source checkpoint, as in model_ema")
    min_coverage: float | None = Field(None, ge=0, le=1, description="gate: exit 1 if less of the target is taken")
    allow_nan: bool = Field(False, description="take NaN and Inf from the source as they are")
    report: str | None = Field(None, description="JSON report; default: OUT.report.json beside the output")
    dry_run: bool = Field(False, description="plan and report, write no checkpoint")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")

    @model_validator(mode="after")
    def _need_an_output(self) -> TransferConfig:
        if self.out is None and not self.dry_run:
            raise ValueError("out is missing; only a dry run needs none")
        return self


class TransferResult(ReportPart):
    """What became of every tensor of the target."""

    method: str
    reference: str = Field(description="where the method was published")
    architecture: Architecture
    dtype: str = Field(description="floating dtype of the output, or mixed")
    coverage: float = Field(description="share of the target's parameters whose value comes from the source")
    num_tensors: int
    num_parameters: int
    num_rows: dict[str, int] = Field(description="tensors by operation")
    rows: list[PlanRow] = Field(description="one for every target tensor, in the target's order")


def run(config: TransferConfig) -> Report[TransferResult]:
    """Transfer, and write the checkpoint and its report unless it is a dry run."""
    watch = Stopwatch()
    read = open_plan(Path(config.plan)) if config.plan else None
    if read:
        refuse_other_target(read, target_arch=config.target_arch, seed=config.seed)
    method = find_method(read.saved.method if read else config.method)
    recipe = make_recipe(method, config.matching, config.mapping)
    seed = read.saved.seed if read else config.seed
    report_path = _report_path(config)
    _refuse_outputs(config, report_path)

    source = open_reference(
        config.source, role="source", key=config.key, arch=config.source_arch, offline=config.offline, seed=seed
    )
    refuse_inputs(_outputs(config, report_path), source.files)
    target = _target(config, source, read, seed)
    plan, warnings = _plan(config, recipe, read, source, target, seed)
    dtypes = target.dtypes(source, config.dtype or (read.saved.dtype if read else None))
    name = read.method if read else method.name

    outputs: list[OutputInfo] = []
    if config.save_plan:
        outputs += save_plan(
            Path(config.save_plan),
            plan,
            method=method.name,
            seed=seed,
            source=source,
            target=target.architecture,
            dtype=config.dtype,
            force=config.force,
        )
    if config.out and not config.dry_run:
        outputs += _write(config, Path(config.out), plan, source, target, dtypes, name)

    coverage = plan.coverage(target.graph)
    report = Report[TransferResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=[source.info, *([target.start.info] if target.start else [])],
        config={**config.model_dump(), **({} if read else recipe.choices())},
        result=_result(name, method.reference, plan, target, dtypes),
        outputs=outputs,
        warnings=[*source.warnings, *(target.start.warnings if target.start else ()), *warnings],
        gates=_gates(config, coverage),
    )
    if report_path:
        write_report(report, report_path, force=config.force)
    return report


def config_keys() -> list[str]:
    """Return every key that --config and --set take, the choices of all methods and their parts among them."""
    keys = [key for key in known_keys(TransferConfig) if key not in ("matching", "mapping")]
    keys += ["matching.method", "mapping.method"]
    for family, entries in (("matching", MATCHINGS), ("mapping", (*MAPPINGS, *TRANSFER_METHODS))):
        keys += [f"{family}.{key}" for entry in entries for key in known_keys(entry.load_options())]
    return list(dict.fromkeys(keys))


def _report_path(config: TransferConfig) -> Path | None:
    """Return where the report goes: where asked, else beside the output; a dry run writes none unasked."""
    if config.report:
        return Path(config.report)
    return None if config.dry_run or config.out is None else Path(config.out).with_suffix(".report.json")


def _outputs(config: TransferConfig, report_path: Path | None) -> list[Path]:
    named = (config.out, config.save_plan, report_path)
    return [Path(path) for path in named if path is not None]


def _refuse_outputs(config: TransferConfig, report_path: Path | None) -> None:
    given = (config.source, config.target_checkpoint, config.plan)
    refuse_inputs(_outputs(config, report_path), [Path(name) for name in given if name])
    if config.out is not None:
        out = Path(config.out)
        refuse_suffix(out)
        if report_path:
            refuse_report(report_path, (out,))
        if not config.dry_run:
            refuse_existing(out, force=config.force)
    if config.save_plan:
        refuse_existing_plan(Path(config.save_plan), force=config.force)
    if report_path:
        refuse_existing(report_path, force=config.force)


def _target(config: TransferConfig, source: OpenedCheckpoint, read: ReadPlan | None, seed: int) -> Target:
    """Return the target, freshly initialised or as the target checkpoint has it."""
    if config.target_checkpoint is not None:
        return load_target(
            config.target_checkpoint,
            config.target_arch,
            num_classes=config.num_classes or (read.saved.target.num_classes if read else None),
            in_chans=config.in_chans,
            offline=config.offline,
            seed=seed,
        )
    usual = read.saved.target if read else usual_target(config.target_arch, source)
    asked = {"num_classes": config.num_classes, "in_chans": config.in_chans}
    given = {name: value for name, value in asked.items() if value is not None}
    return build_target(usual.model_copy(update=given), seed=seed)


def _plan(
    config: TransferConfig,
    recipe: Recipe,
    read: ReadPlan | None,
    source: OpenedCheckpoint,
    target: Target,
    seed: int,
) -> tuple[TransferPlan, list[str]]:
    """Return the plan that was read, or the one that the recipe makes, narrowed to some layers; and warnings."""
    specs = source.tensors.specs
    if read:
        refuse_misfit(read.plan, specs, tuple(target.graph.tensors()))
        plan, warnings = read.plan, source_warnings(read, source)
    else:
        graph, doubts = source_graph(source)
        plan = recipe.plan(source.tensors, graph, target.state, target.graph, seed=seed)
        warnings = [*doubts, *plan.warnings]
    plan = narrow(plan, target.graph, only=config.only, skip=config.skip)
    if not config.allow_nan:
        refuse_not_finite(plan, source.tensors)
    return plan, warnings


def _write(
    config: TransferConfig,
    out: Path,
    plan: TransferPlan,
    source: OpenedCheckpoint,
    target: Target,
    dtypes: Mapping[str, str],
    method: str,
) -> tuple[OutputInfo, ...]:
    specs = tuple(TensorSpec(tensor.name, tensor.shape, dtypes[tensor.name]) for tensor in target.graph.tensors())
    refuse_existing_files(plan_shards(out, specs, config.shard_size), force=config.force)
    ancestors = [source.ancestor, target.start.ancestor if target.start else None]
    made_by = MadeBy(
        command="transfer",
        method=method,
        tlv_version=__version__,
        made_from=tuple(ancestor for ancestor in ancestors if ancestor),
    )
    return save_tensors(
        out,
        specs,
        _carry_out(plan, source, target.state, dtypes),
        provenance=Provenance(
            architecture=target.architecture,
            made_by=made_by,
            preprocessing=source.preprocessing,
            recommended_rates=dict(plan.recommended_rates) or None,
        ),
        force=config.force,
        shard_bytes=config.shard_size,
    )


def _carry_out(
    plan: TransferPlan, source: OpenedCheckpoint, target: Mapping[str, Tensor], dtypes: Mapping[str, str]
) -> Iterator[tuple[str, Tensor]]:
    from tlvcli.methods.execute import execute

    for name, tensor in execute(plan, source.tensors, target):
        yield name, cast(tensor, dtypes[name], name=name) if tensor.is_floating_point() else tensor


def _gates(config: TransferConfig, coverage: float) -> list[Gate]:
    if config.min_coverage is None:
        return []
    flag = f"--min-coverage {config.min_coverage:g}"
    return [Gate(flag=flag, met=coverage >= config.min_coverage, message=f"coverage is {coverage:.4f}")]


def _result(
    method: str, reference: str, plan: TransferPlan, target: Target, dtypes: Mapping[str, str]
) -> TransferResult:
    operations = [row.operation for row in plan.rows]
    floating = {dtype for dtype in dtypes.values() if "float" in dtype}
    return TransferResult(
        method=method,
        reference=reference,
        architecture=target.architecture,
        dtype=floating.pop() if len(floating) == 1 else "mixed",
        coverage=plan.coverage(target.graph),
        num_tensors=len(plan.rows),
        num_parameters=target.graph.num_parameters,
        num_rows={operation: operations.count(operation) for operation in sorted(set(operations))},
        rows=list(plan.rows),
    )

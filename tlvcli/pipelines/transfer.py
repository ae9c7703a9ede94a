"""Start another architecture from a checkpoint: open, plan, carry out, write, account for every tensor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from tlvcli import __version__
from tlvcli.core.config import Config, known_keys
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import ModelGraph, TensorSpec
from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.core.provenance import Architecture, MadeBy, Provenance
from tlvcli.core.report import OutputInfo, Report, ReportPart
from tlvcli.core.runtime import Stopwatch
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.reports import write_report
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import MAPPINGS, MATCHINGS, TRANSFER_METHODS, TransferMethod, find_method
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module, open_reference, save_tensors
from tlvcli.pipelines.outputs import Dtype, refuse_inputs, refuse_report, refuse_suffix

if TYPE_CHECKING:
    from torch import Tensor, nn

SCHEMA = "tlv.transfer/1"


class TransferConfig(Config):
    """Settings of `tlv transfer`."""

    source: str = Field(description="checkpoint file, ARCH@WEIGHTS or ARCH@random")
    target_arch: str = Field(description="torchvision builder, timm:NAME, or path/to/file.py:callable")
    out: str = Field(description="safetensors file to write")
    method: str = Field("tlv", description="how the target is started: a transfer method's name")
    matching: dict[str, Any] = Field(default_factory=dict, description="which matching, by `method`, and its choices")
    mapping: dict[str, Any] = Field(default_factory=dict, description="which mapping, by `method`, and its choices")
    num_classes: int | None = Field(None, ge=1, description="classes of the target; default: the source's, else 1000")
    in_chans: int | None = Field(None, ge=1, description="input channels of the target; default: the source's, else 3")
    seed: int = Field(0, ge=0, description="seeds the target's initialisation and every draw of the method")
    target_checkpoint: str | None = Field(None, description="start the target from this file, not from fresh noise")
    dtype: Dtype | None = Field(None, description="floating dtype of the output; default: the source's own")
    key: str | None = Field(None, description="which part of a nested source checkpoint, as in model_ema")
    report: str | None = Field(None, description="JSON report; default: OUT.report.json beside the output")
    dry_run: bool = Field(False, description="plan and report, write nothing")
    offline: bool = Field(False, description="never touch the network")
    force: bool = Field(False, description="replace existing outputs")


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
    method = find_method(config.method)
    recipe = make_recipe(method, config.matching, config.mapping)
    out, report_path = Path(config.out), _report_path(config)
    _refuse_outputs(config, out, report_path)

    source = open_reference(
        config.source, role="source", key=config.key, arch=None, offline=config.offline, seed=config.seed
    )
    refuse_inputs((out, report_path), source.files)
    module, architecture, start = _build_target(config, source)
    target, target_graph = module.state_dict(), _graph_of(module)
    plan = recipe.plan(source.tensors, _source_graph(source), target, target_graph, seed=config.seed)
    dtypes = _output_dtypes(config, source, start, target_graph)
    outputs: list[OutputInfo] = []
    if not config.dry_run:
        provenance = _provenance(method, source, start, architecture)
        specs = tuple(TensorSpec(t.name, t.shape, dtypes[t.name]) for t in target_graph.tensors())
        tensors = _carry_out(plan, source, target, dtypes)
        outputs.extend(save_tensors(out, specs, tensors, provenance=provenance, force=config.force))

    report = Report[TransferResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=[source.info, *([start.info] if start else [])],
        config={**config.model_dump(), **recipe.choices()},
        result=_result(method, architecture, plan, target_graph, dtypes),
        outputs=outputs,
        warnings=[*source.warnings, *(start.warnings if start else ()), *plan.warnings],
    )
    if not config.dry_run or config.report:
        write_report(report, report_path, force=config.force)
    return report


def config_keys() -> list[str]:
    """Return every key that --config and --set take, the choices of all methods and their parts among them."""
    keys = [key for key in known_keys(TransferConfig) if key not in ("matching", "mapping")]
    keys += ["matching.method", "mapping.method"]
    for family, entries in (("matching", MATCHINGS), ("mapping", (*MAPPINGS, *TRANSFER_METHODS))):
        keys += [f"{family}.{key}" for entry in entries for key in known_keys(entry.load_options())]
    return list(dict.fromkeys(keys))


def _report_path(config: TransferConfig) -> Path:
    return Path(config.report) if config.report else Path(config.out).with_suffix(".report.json")


def _refuse_outputs(config: TransferConfig, out: Path, report_path: Path) -> None:
    given = (config.source, config.target_checkpoint)
    refuse_inputs((out, report_path), [Path(name) for name in given if name])
    refuse_suffix(out)
    refuse_report(report_path, (out,))
    if not config.dry_run:
        refuse_existing(out, force=config.force)
    if not config.dry_run or config.report:
        refuse_existing(report_path, force=config.force)


def _build_target(
    config: TransferConfig, source: OpenedCheckpoint
) -> tuple[nn.Module, Architecture, OpenedCheckpoint | None]:
    """Return the target, freshly initialised or as the target checkpoint has it."""
    from tlvcli.models.builders import build

    known = source.architecture
    if config.target_checkpoint is None:
        architecture = Architecture(
            name=config.target_arch,
            num_classes=config.num_classes or (known.num_classes if known else 1000),
            in_chans=config.in_chans or (known.in_chans if known else 3),
        )
        return build(architecture, seed=config.seed), architecture, None
    start = open_reference(
        config.target_checkpoint,
        role="target",
        key=None,
        arch=config.target_arch,
        offline=config.offline,
        seed=config.seed,
    )
    module, architecture, _ = load_module(start, num_classes=config.num_classes, seed=config.seed)
    if config.in_chans not in (None, architecture.in_chans):
        raise TlvError(
            "checkpoint-mismatch",
            f"{config.target_checkpoint} has {architecture.in_chans} input channels, not {config.in_chans}",
            "leave --in-chans out, or start from a fresh target",
        )
    return module, architecture, start


def _graph_of(module: nn.Module) -> ModelGraph:
    from tlvcli.models.graph import graph_of_module

    return graph_of_module(module)


def _source_graph(source: OpenedCheckpoint) -> ModelGraph:
    """Return the source's graph: from its architecture where known, from names and shapes where not."""
    from tlvcli.models.builders import build_skeleton
    from tlvcli.models.graph import graph_of_module, graph_of_tensors

    specs = source.tensors.specs
    if source.architecture is not None:
        try:
            graph = graph_of_module(build_skeleton(source.architecture))
        except TlvError:  # the user's file or timm is not there any more; the tensors are
            return graph_of_tensors(specs)
        if {tensor.name: tensor.shape for tensor in graph.tensors()} == {spec.name: spec.shape for spec in specs}:
            return graph
    return graph_of_tensors(specs)


def _output_dtypes(
    config: TransferConfig, source: OpenedCheckpoint, start: OpenedCheckpoint | None, target: ModelGraph
) -> dict[str, str]:
    """Return the dtype of every output tensor: asked for, the target checkpoint's, or the source's one."""
    own = {spec.name: spec.dtype for spec in start.tensors.specs} if start else {}
    common = {spec.dtype for spec in source.tensors.specs if "float" in spec.dtype}
    usual = common.pop() if len(common) == 1 else "float32"
    return {
        tensor.name: (config.dtype or own.get(tensor.name, usual)) if "float" in tensor.dtype else tensor.dtype
        for tensor in target.tensors()
    }


def _carry_out(
    plan: TransferPlan, source: OpenedCheckpoint, target: Mapping[str, Tensor], dtypes: Mapping[str, str]
) -> Iterator[tuple[str, Tensor]]:
    import torch

    from tlvcli.methods.execute import execute

    for name, tensor in execute(plan, source.tensors, target):
        yield name, tensor.to(getattr(torch, dtypes[name]))


def _provenance(
    method: TransferMethod,
    source: OpenedCheckpoint,
    start: OpenedCheckpoint | None,
    architecture: Architecture,
) -> Provenance:
    ancestors = [source.ancestor, start.ancestor if start else None]
    made_by = MadeBy(
        command="transfer",
        method=method.name,
        tlv_version=__version__,
        made_from=tuple(ancestor for ancestor in ancestors if ancestor),
    )
    return Provenance(architecture=architecture, made_by=made_by, preprocessing=source.preprocessing)


def _result(
    method: TransferMethod,
    architecture: Architecture,
    plan: TransferPlan,
    target: ModelGraph,
    dtypes: Mapping[str, str],
) -> TransferResult:
    operations = [row.operation for row in plan.rows]
    floating = {dtype for dtype in dtypes.values() if "float" in dtype}
    return TransferResult(
        method=method.name,
        reference=method.reference,
        architecture=architecture,
        dtype=floating.pop() if len(floating) == 1 else "mixed",
        coverage=plan.coverage(target),
        num_tensors=len(plan.rows),
        num_parameters=target.num_parameters,
        num_rows={operation: operations.count(operation) for operation in sorted(set(operations))},
        rows=list(plan.rows),
    )

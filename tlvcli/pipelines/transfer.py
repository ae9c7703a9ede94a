"""Start another architecture from a checkpoint: open, plan, carry out, adapt, write, account for every tensor."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli import __version__
from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import MadeBy, Preprocessing, Provenance
from tlvcli.core.report import OutputInfo, Report
from tlvcli.core.runtime import Stopwatch
from tlvcli.io.reports import write_report
from tlvcli.methods.check_plan import refuse_misfit
from tlvcli.methods.recipe import Recipe, make_recipe
from tlvcli.methods.table import find_method
from tlvcli.models.names import refuse_unknown
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, open_reference
from tlvcli.pipelines.first_look import look_at_checkpoint
from tlvcli.pipelines.outputs import refuse_inputs
from tlvcli.pipelines.progress import Progress, Silence
from tlvcli.pipelines.transferring.config import TransferConfig, config_keys
from tlvcli.pipelines.transferring.inputs import (
    Target,
    build_target,
    load_target,
    refuse_not_finite,
    source_graph,
    usual_target,
)
from tlvcli.pipelines.transferring.outputs import find_outputs, find_report_path, refuse_outputs, write_target
from tlvcli.pipelines.transferring.plans import (
    ReadPlan,
    narrow,
    open_plan,
    refuse_other_target,
    save_plan,
    source_warnings,
)
from tlvcli.pipelines.transferring.result import TransferResult, make_gates, make_result
from tlvcli.pipelines.transferring.steps import Steps, open_steps, refuse_not_runnable
from tlvcli.pipelines.trust import note_named

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from tlvcli.pipelines.transferring.adapt import Adapted

__all__ = ["SCHEMA", "TransferConfig", "TransferResult", "config_keys", "run"]

SCHEMA = "tlv.transfer/1"


def run(config: TransferConfig, *, progress: Progress | None = None) -> Report[TransferResult]:
    """Transfer, and write the checkpoint and its report unless it is a dry run."""
    watch = Stopwatch()
    read = open_plan(Path(config.plan)) if config.plan else None
    if read:
        refuse_other_target(read, target_arch=config.target_arch, seed=config.seed)
    method = find_method(read.saved.method if read else config.method)
    recipe = make_recipe(method, config.matching, config.mapping)
    seed = read.saved.seed if read else config.seed
    refuse_outputs(config)
    refuse_unknown(config.target_arch)
    look_at_checkpoint(config.source, config.source_arch)
    if config.target_checkpoint:
        look_at_checkpoint(config.target_checkpoint)
    steps = open_steps(config)

    source = open_reference(
        config.source, role="source", key=config.key, arch=config.source_arch, offline=config.offline, seed=seed
    )
    refuse_inputs(find_outputs(config), source.files)
    if steps.fit:
        refuse_not_runnable(source)
    target = _target(config, source, read, seed)
    plan, warnings = _plan(config, recipe, read, source, target, seed)
    dtypes = target.dtypes(source, config.dtype or (read.saved.dtype if read else None))
    name = read.method if read else method.name
    adapted = _adapt(config, steps, plan, source, target, seed, progress or Silence())

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
        preprocessing = adapted.preprocessing if adapted else None
        provenance = _provenance(plan, source, target, preprocessing, steps.after(name))
        tensors = adapted.state.items() if adapted else _execute(plan, source, target)
        outputs += write_target(config, target, tensors, dtypes, provenance)

    report = Report[TransferResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(steps.device),
        inputs=[source.info, *([target.start.info] if target.start else []), *steps.inputs],
        config={**config.model_dump(), **({} if read else recipe.choices())},
        result=make_result(name, method.reference, plan, target, dtypes, adapted.rows if adapted else ()),
        outputs=outputs,
        warnings=[
            *source.warnings,
            *(target.start.warnings if target.start else ()),
            *warnings,
            *steps.warnings,
            *(adapted.warnings if adapted else ()),
        ],
        gates=make_gates(config.min_coverage, plan.coverage(target.graph)),
    )
    report_path = find_report_path(config)
    if report_path:
        write_report(report, report_path, force=config.force)
    return report


def _target(config: TransferConfig, source: OpenedCheckpoint, read: ReadPlan | None, seed: int) -> Target:
    """Return the target, freshly initialised or as the target checkpoint has it."""
    note_named(config.target_arch)
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


def _execute(plan: TransferPlan, source: OpenedCheckpoint, target: Target) -> Iterator[tuple[str, Tensor]]:
    from tlvcli.methods.execute import execute

    return execute(plan, source.tensors, target.state)


def _adapt(
    config: TransferConfig,
    steps: Steps,
    plan: TransferPlan,
    source: OpenedCheckpoint,
    target: Target,
    seed: int,
    progress: Progress,
) -> Adapted | None:
    """Carry the plan out and what is to follow it; None where nothing is, and tensors can be streamed."""
    if not steps.names:
        return None
    from tlvcli.pipelines.transferring.adapt import Task, adapt

    task = Task(config, steps, plan, source, target, seed, progress)
    return adapt(task, dict(_execute(plan, source, target)))


def _provenance(
    plan: TransferPlan, source: OpenedCheckpoint, target: Target, preprocessing: Preprocessing | None, method: str
) -> Provenance:
    ancestors = [source.ancestor, target.start.ancestor if target.start else None]
    made_by = MadeBy(
        command="transfer",
        method=method,
        tlv_version=__version__,
        made_from=tuple(ancestor for ancestor in ancestors if ancestor),
    )
    return Provenance(
        architecture=target.architecture,
        made_by=made_by,
        preprocessing=preprocessing or source.preprocessing,
        recommended_rates=dict(plan.recommended_rates) or None,
    )

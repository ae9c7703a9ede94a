"""The steps after the mapping, one after the other on one module: rescale, fit, calibrate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import Preprocessing
from tlvcli.core.wording import counted
from tlvcli.pipelines.checkpoints import OpenedCheckpoint
from tlvcli.pipelines.image_input import choose_preprocessing, refuse_image_size
from tlvcli.pipelines.preparation import prepared_as_told
from tlvcli.pipelines.progress import Progress
from tlvcli.pipelines.transferring.config import TransferConfig
from tlvcli.pipelines.transferring.fit_source import SourceView, open_source
from tlvcli.pipelines.transferring.images import StepImages, repeatable_batches
from tlvcli.pipelines.transferring.inputs import Target
from tlvcli.pipelines.transferring.plans import left_alone
from tlvcli.pipelines.transferring.result import AdaptedRow
from tlvcli.pipelines.transferring.steps import Steps

if TYPE_CHECKING:
    from torch import Tensor, nn

    from tlvcli.methods.adaptation.outcome import Adaptation
    from tlvcli.methods.fitting.fit import Fitting

# Bytes of a batch's largest activation: calibration is exact where one batch holds all images, a fit unfolds patches.
_CALIBRATE_BYTES, _FIT_BYTES = 2**29, 2**26
_SMALLEST_BATCH = 16


@dataclass(frozen=True)
class Task:
    """A transfer whose plan is made, and what is to follow it."""

    config: TransferConfig
    steps: Steps
    plan: TransferPlan
    source: OpenedCheckpoint
    target: Target
    seed: int
    progress: Progress


@dataclass(frozen=True)
class Adapted:
    """The target's tensors after all steps, and what each did; `preprocessing` is None where no images were seen."""

    state: Mapping[str, Tensor]
    rows: tuple[AdaptedRow, ...] = ()
    warnings: tuple[str, ...] = ()
    preprocessing: Preprocessing | None = None


def adapt(task: Task, state: Mapping[str, Tensor]) -> Adapted:
    """Carry out the steps on the target's tensors, as the plan has made them.

    Raises:
        TlvError: `activations-not-finite`, `image-size-unsupported`, `source-not-runnable`, or why a fit cannot be.
    """
    from tlvcli.methods.adaptation.rescale import rescale
    from tlvcli.models.builders import build
    from tlvcli.models.load_state import load_state

    steps, target = task.steps, task.target
    module = build(target.architecture, seed=task.seed).eval().requires_grad_(False)
    load_state(module, state)
    rows: list[AdaptedRow] = []
    warnings: list[str] = []
    if "rescale" in steps.names:
        scaled = rescale(module, task.plan, target.graph)
        load_state(module, scaled.state)
        rows += _rows("rescale", scaled)
    preprocessing = _prepare(task, module, warnings) if steps.images else None
    fitted: set[str] = set()
    if steps.fit and preprocessing:
        size = task.config.fit.source_size if task.config.fit else None
        view = open_source(task.source, preprocessing, size=size, seed=task.seed, device=steps.device)
        fitting = _fit(task, steps.fit, module, view, preprocessing)
        load_state(module, fitting.state)
        fitted = {name.rpartition(".")[0] for name in fitting.state}
        rows += _fitted_rows(fitting)
        warnings += [*view.warnings, *fitting.warnings]
    if steps.calibrate and preprocessing:
        calibrated = _calibrate(task, steps.calibrate, module, preprocessing, fitted)
        load_state(module, calibrated.state)
        rows += _rows("calibrate", calibrated)
        warnings += [*calibrated.warnings, *_changed_copies(task.plan, calibrated)]
    return Adapted(module.cpu().state_dict(), tuple(rows), tuple(warnings), preprocessing)


def _prepare(task: Task, module: nn.Module, warnings: list[str]) -> Preprocessing:
    """Return how the images are prepared, and put the module where it computes on them."""
    assert task.steps.device is not None
    stored, architecture = task.source.preprocessing, task.target.architecture
    dataset = task.steps.images[0].dataset
    preprocessing, known = choose_preprocessing(stored, architecture, dataset, task.config.image_size)
    preprocessing = prepared_as_told(preprocessing, task.config)
    if not known and not (task.config.mean and task.config.std):
        how = f"{preprocessing.image_size} px, normalised as is usual for {dataset.name}"
        warnings.append(f"the source does not say how its images were prepared: took {how}")
    module.to(task.steps.device)
    refuse_image_size(module, architecture, preprocessing, training=False)
    return preprocessing


def _fit(task: Task, images: StepImages, module: nn.Module, view: SourceView, preprocessing: Preprocessing) -> Fitting:
    import torch

    from tlvcli.methods.adaptation.passes import largest_activation
    from tlvcli.methods.fitting.fit import fit
    from tlvcli.models.graph import graph_of_module

    probe = torch.zeros(2, preprocessing.channels, *[preprocessing.image_size] * 2, device=task.steps.device)
    largest = max(largest_activation(module, probe), largest_activation(view.module, view.images(probe)))
    batches = _batches(task, images, preprocessing, _FIT_BYTES // largest)

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        return ((batch, view.images(batch)) for batch in batches())

    assert task.config.fit is not None
    return fit(
        module,
        view.module,
        pairs,
        plan=task.plan,
        target_graph=task.target.graph,
        source_graph=graph_of_module(view.module),
        options=task.config.fit,
    )


def _calibrate(
    task: Task, images: StepImages, module: nn.Module, preprocessing: Preprocessing, fitted: set[str]
) -> Adaptation:
    import torch

    from tlvcli.methods.adaptation.calibrate import calibrate
    from tlvcli.methods.adaptation.passes import largest_activation
    from tlvcli.methods.adaptation.scalable import reasons_to_leave
    from tlvcli.models.head import head_tensors

    assert task.config.calibrate is not None
    probe = torch.zeros(2, preprocessing.channels, *[preprocessing.image_size] * 2, device=task.steps.device)
    left = reasons_to_leave(
        module,
        probe,
        task.plan,
        head=head_tensors(task.target.architecture),
        fitted=fitted,
        is_trained=task.target.start is not None,
    )
    left |= left_alone(task.target.graph, only=task.config.only, skip=task.config.skip)
    batches = _batches(task, images, preprocessing, _CALIBRATE_BYTES // largest_activation(module, probe))
    return calibrate(module, batches, left=left, options=task.config.calibrate)


def _changed_copies(plan: TransferPlan, calibrated: Adaptation) -> list[str]:
    """Return a warning where weights were scaled that hold nothing but channels of a source layer."""
    whole = {row.tensor for row in plan.rows if row.operation == "gather" and row.transferred == 1.0}
    number = len([name for name in calibrated.state if name in whole and name.endswith(".weight")])
    if not number:
        return []
    said = f"calibrate: scaled {counted(number, 'weight')} of source channels alone; what they compute has changed"
    return [f"{said} (--set calibrate.unit_variance=false leaves them)"]


def _batches(
    task: Task, images: StepImages, preprocessing: Preprocessing, batch_size: int
) -> Callable[[], Iterator[Tensor]]:
    assert task.steps.device is not None
    return repeatable_batches(
        images,
        preprocessing,
        batch_size=max(_SMALLEST_BATCH, batch_size),
        workers=task.config.workers,
        device=task.steps.device,
        start_pass=lambda number, total: task.progress.start(total, f"{images.step}: pass {number}"),
        after_batch=task.progress.advance,
    )


def _rows(step: str, done: Adaptation) -> list[AdaptedRow]:
    return [
        AdaptedRow(
            step=step,
            layer=layer.layer,
            measure=layer.measure,
            before=layer.before,
            after=layer.after,
            note=layer.note,
        )
        for layer in done.layers
    ]


def _fitted_rows(fitting: Fitting) -> list[AdaptedRow]:
    return [
        AdaptedRow(
            step="fit",
            layer=layer.layer,
            source=", ".join(layer.sources) or None,
            measure="R2",
            before=layer.r2_before,
            after=layer.r2,
            note="; ".join(filter(None, (layer.note, f"ridge {layer.ridge:.3g}" if layer.ridge is not None else ""))),
        )
        for layer in fitting.layers
    ]

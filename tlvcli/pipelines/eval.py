"""What a checkpoint is worth on labelled images, and whether another is worth more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.light_torchvision import import_torchvision
from tlvcli.core.processes import Processes, find_processes, gather, highest, joined, one_before_others
from tlvcli.core.provenance import Preprocessing
from tlvcli.core.report import OutputInfo, Report
from tlvcli.core.runtime import Stopwatch, choose_device, peak_memory_bytes
from tlvcli.core.wording import counted
from tlvcli.data.datasets import open_evaluation_data
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import choose_workers, evaluation_batches
from tlvcli.data.order import num_evaluation_batches
from tlvcli.data.reference import parse_data_reference
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.class_maps import read_class_map
from tlvcli.methods.metrics.image_scores import ImageScores
from tlvcli.pipelines.checkpoints import OpenedCheckpoint
from tlvcli.pipelines.evaluating.config import EvalConfig
from tlvcli.pipelines.evaluating.contenders import (
    Contender,
    build_contender,
    grouped_by_preparation,
    look_at_checkpoints,
    open_checkpoints,
)
from tlvcli.pipelines.evaluating.gates import Condition, judge, read_conditions, refuse_undefined
from tlvcli.pipelines.evaluating.measures import compare, measure
from tlvcli.pipelines.evaluating.result import EvalResult, Rival
from tlvcli.pipelines.evaluation import Contestant, score_images
from tlvcli.pipelines.first_look import look_at_images
from tlvcli.pipelines.image_input import describe_data, may_download
from tlvcli.pipelines.outputs import refuse_inputs, refuse_same
from tlvcli.pipelines.precision import Precision, autocast_to, choose_precision
from tlvcli.pipelines.progress import Progress, Silence

if TYPE_CHECKING:
    import torch

__all__ = ["SCHEMA", "EvalConfig", "EvalResult", "run"]

SCHEMA = "tlv.eval/1"
_SHOWN_NAMES = 5


@dataclass(frozen=True)
class _Pass:
    """The rows of all that see images prepared alike, the wall time in seconds, and which images could not be read."""

    scores: tuple[ImageScores, ...]
    seconds: float
    skipped: tuple[str, ...]


@dataclass(frozen=True)
class _Job:
    """What every step needs to know."""

    config: EvalConfig
    dataset: ImageDataset
    processes: Processes
    device: torch.device
    precision: Precision
    progress: Progress


def run(config: EvalConfig, *, progress: Progress | None = None) -> Report[EvalResult]:
    """Evaluate a checkpoint; under `torchrun` the processes share the images, and all return the same.

    Raises:
        TlvError: whatever is wrong with the gates, the outputs, the checkpoints, the data or how they fit each other.
    """
    watch = Stopwatch()
    conditions = read_conditions(config)
    processes = find_processes()
    if not processes.several:  # these meet before they look at what the first one writes
        _refuse_outputs(config)
    look_at_images(config.data, download=config.download)
    look_at_checkpoints(config)
    import_torchvision()
    device = choose_device(config.device)
    with joined(processes, device):
        if processes.is_first:
            _refuse_outputs(config)
        precision = choose_precision(config.precision, device)
        class_map = read_class_map(Path(config.class_map)) if config.class_map else None
        with one_before_others(processes):
            dataset = _open_data(config)
            opened = open_checkpoints(config)
        shown = progress if progress and processes.is_first else Silence()
        job = _Job(config, dataset, processes, device, precision, shown)
        contenders = [build_contender(config, one, dataset, class_map, device) for one in opened]
        refuse_undefined(conditions, contenders[0].architecture.num_classes)
        return _evaluate(job, opened, contenders, conditions, watch)


def _open_data(config: EvalConfig) -> ImageDataset:
    download = may_download(download=config.download, offline=config.offline)
    return open_evaluation_data(parse_data_reference(config.data), data_seed=config.data_seed, download=download)


def _refuse_outputs(config: EvalConfig) -> None:
    """Raise before the work what would keep an output from being written after it."""
    outputs = [Path(name) for name in (config.predictions, config.html) if name]
    refuse_same(outputs)
    inputs = (config.checkpoint, *config.against, config.class_map)
    refuse_inputs(outputs, [Path(name) for name in inputs if name])
    for path in outputs:
        refuse_existing(path, force=config.force)


def _evaluate(
    job: _Job,
    opened: Sequence[OpenedCheckpoint],
    contenders: Sequence[Contender],
    conditions: Sequence[Condition],
    watch: Stopwatch,
) -> Report[EvalResult]:
    config, dataset = job.config, job.dataset
    passes = [(group, _score(job, preprocessing, group)) for preprocessing, group in grouped_by_preparation(contenders)]
    skipped = sorted({place for _, done in passes for place in done.skipped})
    scored = {
        id(contender): (scores, done.seconds)
        for group, done in passes
        for contender, scores in zip(group, done.scores, strict=True)
    }
    rows = [scored[id(contender)][0] for contender in contenders]
    measured = [
        measure(config, contender, scores, dataset, seconds=scored[id(contender)][1], precision=job.precision)
        for contender, scores in zip(contenders, rows, strict=True)
    ]
    result = EvalResult(
        **dict(measured[0]),
        split=dataset.split,
        skipped=skipped,
        peak_memory_bytes=highest(job.processes, peak_memory_bytes(job.device)),
        against=[
            Rival(checkpoint=reference, measures=measures, difference=compare(rows[0], other))
            for reference, measures, other in zip(config.against, measured[1:], rows[1:], strict=True)
        ],
    )
    outputs = _write_predictions(job, rows[0], contenders[0]) if job.processes.is_first else []
    report = Report[EvalResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(job.device),
        inputs=[*(one.info for one in opened), describe_data(dataset, config.data)],
        config=config.model_dump(),
        result=result,
        outputs=outputs,
        warnings=[*_warn_of_data(job, skipped), *(said for contender in contenders for said in contender.warnings)],
        gates=judge(conditions, result),
    )
    if not (config.html and job.processes.is_first):
        return report
    from tlvcli.pipelines.evaluating.page import write_evaluation_page

    page = write_evaluation_page(
        config,
        result,
        dataset,
        gates=report.gates,
        inputs=report.inputs,
        warnings=report.warnings,
        ran=report.run,
    )
    return report.model_copy(update={"outputs": [*outputs, page]})


def _score(job: _Job, preprocessing: Preprocessing, group: Sequence[Contender]) -> _Pass:
    """Read the images once for all that see them prepared alike."""
    import torch

    config, dataset, processes = job.config, job.dataset, job.processes
    rank, world_size = processes.rank, processes.world_size
    steps = num_evaluation_batches(len(dataset), config.batch_size, rank=rank, world_size=world_size)
    job.progress.start(steps, f"eval {dataset.name} {dataset.split}")
    unreadable: list[str] = []
    batches = evaluation_batches(
        dataset,
        preprocessing,
        batch_size=config.batch_size,
        workers=choose_workers(dataset, config.workers, job.device),
        device=job.device,
        skip_unreadable=unreadable.append if config.skip_corrupt else None,
        rank=rank,
        world_size=world_size,
    )
    contestants = [
        Contestant(contender.module, torch.tensor(contender.classes.outputs, device=job.device)) for contender in group
    ]
    with closing(batches):
        done = score_images(
            contestants,
            batches,
            autocast=autocast_to(job.precision, job.device),
            after_batch=job.progress.advance,
            processes=processes,
        )
    skipped = tuple(place for places in gather(processes, unreadable) for place in places)
    if done.scores is None:
        raise TlvError(
            "data-no-images", f"{config.data}: of {counted(len(dataset), 'image')} none can be read", "mend the images"
        )
    for contender, scores in zip(group, done.scores, strict=True):
        _refuse_infinite(contender, scores)
    return _Pass(done.scores, done.seconds, skipped)


def _refuse_infinite(contender: Contender, scores: ImageScores) -> None:
    loss = float(scores.loss.mean())
    if not math.isfinite(loss):
        raise TlvError(
            "loss-not-finite",
            f"{contender.reference} gives a loss of {loss} on {len(scores)} images",
            "tlv inspect shows whether the weights are finite; in half precision, try --precision fp32",
        )


def _warn_of_data(job: _Job, skipped: Sequence[str]) -> list[str]:
    config, dataset = job.config, job.dataset
    warnings = list(dataset.warnings)
    if parse_data_reference(config.data).split is None and dataset.split != "test":
        warnings.append(f"{config.data} has no test split: evaluated on {dataset.split}")
    if skipped:
        warnings.append(f"{config.data}: skipped {counted(len(skipped), 'image')}, as {skipped[0]}")
    present = set(dataset.labels)
    empty = [name for label, name in enumerate(dataset.class_names) if label not in present]
    if empty:
        more = f" and {len(empty) - _SHOWN_NAMES} more" if len(empty) > _SHOWN_NAMES else ""
        warnings.append(
            f"{config.data}: {len(empty)} of {len(dataset.class_names)} classes have no image, and no part in the "
            f"means: {', '.join(empty[:_SHOWN_NAMES])}{more}"
        )
    return warnings


def _write_predictions(job: _Job, scores: ImageScores, contender: Contender) -> list[OutputInfo]:
    if not job.config.predictions:
        return []
    from tlvcli.pipelines.evaluating.predictions import write_predictions

    path = Path(job.config.predictions)
    return [write_predictions(path, scores, contender.classes.names, job.dataset, force=job.config.force)]

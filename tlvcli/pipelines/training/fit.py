"""All epochs of one training run: train, validate, keep; until they are done, pay no more, or someone wants to stop."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from functools import partial
from itertools import count, islice

from tlvcli.core.processes import copy_from_first, highest
from tlvcli.core.report import OutputInfo
from tlvcli.core.runtime import peak_memory_bytes
from tlvcli.core.wording import rate
from tlvcli.pipelines.evaluation import Evaluation, evaluate
from tlvcli.pipelines.progress import Progress
from tlvcli.pipelines.training.curves import draw_curves
from tlvcli.pipelines.training.epochs import EpochShape, train_epoch
from tlvcli.pipelines.training.events import open_events
from tlvcli.pipelines.training.feature_cache import open_feature_cache, uses_feature_cache, why_not_cached
from tlvcli.pipelines.training.input import Input, open_input, shape_of
from tlvcli.pipelines.training.interruption import StopWish, stop_wishes, stopped
from tlvcli.pipelines.training.job import EpochResult, Fitted, TrainingJob
from tlvcli.pipelines.training.keeping import Keeper, keep_epoch, keep_state
from tlvcli.pipelines.training.losses import loss_not_finite
from tlvcli.pipelines.training.run_folder import RunFolder
from tlvcli.pipelines.training.selection import best_of, is_stalled
from tlvcli.pipelines.training.state import RunState
from tlvcli.pipelines.training.state_files import restore
from tlvcli.pipelines.training.steps import Learner, make_learner, make_phases, phase_of
from tlvcli.pipelines.training.tally import RunningEpoch, Tally

_WORTH_TELLING = 0.1  # of an epoch that waited for images


@dataclass(frozen=True)
class _Run:
    job: TrainingJob
    learner: Learner
    shape: EpochShape
    keeper: Keeper
    progress: Progress
    stop: StopWish


def fit(job: TrainingJob, folder: RunFolder, progress: Progress, beginning: RunState) -> Fitted:
    """Train from the beginning, which lies in the middle where a run is resumed.

    Raises:
        TlvError: `loss-not-finite`, `image-unreadable`, `worker-died`, why a file cannot be written, or `interrupted`
            or `terminated` by a signal, once the state is saved.
    """
    config, shape, is_first = job.config, shape_of(job), job.processes.is_first
    writes_events = config.tensorboard and is_first
    began = time.perf_counter()
    features = open_feature_cache(job, progress) if uses_feature_cache(job) else None
    if reason := why_not_cached(job):
        progress.message(reason)
    seconds_features = time.perf_counter() - began
    learner = make_learner(job, features.split if features else None)
    keeper = Keeper(folder, learner, make_phases(job, shape.num_steps), beginning)
    epochs, step, running = list(beginning.epochs), beginning.step, beginning.running
    if epochs or step:
        restore(folder, learner, phase_of(keeper.phases, beginning.epoch), beginning)
    if epochs and step == 0:
        keep_epoch(keeper, epochs)  # the run may have been killed after its state, before the files
    with (
        stop_wishes() as stop,  # before processes that read images are forked
        open_input(job, features, first_epoch=beginning.epoch, first_batch=shape.batches_before(step)) as data,
        open_events(folder.events_path, enabled=writes_events, first_epoch=beginning.epoch) as write_event,
    ):
        run = _Run(job, learner, shape, keeper, progress, stop)
        for epoch in range(beginning.epoch, config.epochs + 1):
            if is_stalled(epochs, job.plan, best_by=config.best_by, patience=config.patience):
                progress.message(f"stopped early: {config.patience} epochs brought nothing better")
                break
            epochs.append(_run_epoch(run, data, epochs, epoch, first_step=step, before=running))
            keep_state(keeper, epochs, epoch=epoch + 1, running=RunningEpoch())
            keep_epoch(keeper, epochs)
            write_event(epochs[-1])
            progress.message(_describe(epochs[-1], config.epochs))
            step, running = 0, RunningEpoch()
    best = best_of(epochs, config.best_by)
    outputs = _describe_outputs(folder, epochs, best) if is_first else ()
    return Fitted(tuple(epochs), best, outputs, peak_memory_bytes(job.device), seconds_features)


def _describe_outputs(folder: RunFolder, epochs: list[EpochResult], best: EpochResult) -> tuple[OutputInfo, ...]:
    """Return the report's entries for the files that there are, and draw the curves."""
    return (*folder.describe_files(), draw_curves(epochs, folder.curves_path, best_epoch=best.epoch))


def _run_epoch(
    run: _Run, data: Input, earlier: list[EpochResult], epoch: int, *, first_step: int, before: RunningEpoch
) -> EpochResult:
    """Train and validate one epoch, or what is left of it."""
    job, learner, shape, progress = run.job, run.learner, run.shape, run.progress
    folder = run.keeper.folder
    last_good = f"the last good checkpoint is {folder.last_path}" if earlier else "no checkpoint was written yet"
    progress.start(shape.num_batches + data.val_batches, f"epoch {epoch}/{job.config.epochs}")
    for _ in range(shape.batches_before(first_step)):
        progress.advance()
    trained = train_epoch(
        learner,
        phase_of(run.keeper.phases, epoch),
        data.train,
        shape,
        epoch=epoch,
        first_step=first_step,
        before=before,
        last_good=last_good,
        after_batch=progress.advance,
        after_step=partial(_after_step, run, earlier, epoch),
    )

    numbers = count(1)

    def after_val_batch() -> None:
        progress.advance()
        # Where others may have no batch left, nobody can ask them.
        if next(numbers) <= data.val_batches_of_all and (wish := _wish(run)):
            _stop(run, wish, earlier, epoch, shape.num_steps, trained)

    copy_from_first(job.processes, learner.evaluated.buffers())
    measured = evaluate(
        learner.evaluated,
        islice(data.val, data.val_batches),
        autocast=learner.autocast,
        after_batch=after_val_batch,
        processes=job.processes,
    )
    if not math.isfinite(measured.loss):
        raise loss_not_finite(measured.loss, f"on val after epoch {epoch}", last_good)
    return _epoch_result(epoch, trained, measured)


def _after_step(run: _Run, earlier: list[EpochResult], epoch: int, step: int, tally: Tally) -> None:
    """Keep the state after so many steps, or because someone wants to stop."""
    every = run.job.config.checkpoint_every
    is_due = every is not None and ((epoch - 1) * run.shape.num_steps + step) % every == 0
    wish = _wish(run)
    if not (wish or is_due):
        return
    tally.settle()
    if wish:
        _stop(run, wish, earlier, epoch, step, tally.sums())
    keep_state(run.keeper, earlier, epoch=epoch, step=step, running=tally.sums())


def _wish(run: _Run) -> int:
    """Return the signal that came to any of the processes, or 0; all ask at once."""
    return highest(run.job.processes, run.stop.number or 0)


def _stop(run: _Run, number: int, earlier: list[EpochResult], epoch: int, step: int, sums: RunningEpoch) -> None:
    """Keep the state and raise what ends the run."""
    keep_state(run.keeper, earlier, epoch=epoch, step=step, running=sums)
    where = f"in epoch {epoch} after step {step} of {run.shape.num_steps}"
    raise stopped(number, where, run.keeper.how_to_go_on)


def _epoch_result(epoch: int, trained: RunningEpoch, measured: Evaluation) -> EpochResult:
    return EpochResult(
        epoch=epoch,
        train_loss=trained.loss_sum / trained.images,
        val_loss=measured.loss,
        val_top1=measured.top1,
        val_balanced_accuracy=measured.balanced_accuracy,
        lr=trained.learning_rate,
        seconds=round(trained.seconds + measured.seconds, 3),
        images_per_second=round(trained.images / trained.seconds, 2),
        seconds_waiting=round(trained.seconds_waiting, 3),
        waiting_share=round(trained.seconds_waiting / trained.seconds, 4),
    )


def _describe(epoch: EpochResult, num_epochs: int) -> str:
    """Write an epoch in a line of 80 columns; that it waited for images stands there where it is worth doing something.

    The report has that share of every epoch.
    """
    waiting = f", {epoch.waiting_share:.0%} waiting for data" if epoch.waiting_share >= _WORTH_TELLING else ""
    return (
        f"epoch {epoch.epoch}/{num_epochs}: train loss {epoch.train_loss:.4f}, "
        f"val loss {epoch.val_loss:.4f}, val top-1 {epoch.val_top1:.2%}, "
        f"{rate(epoch.images_per_second)} images/s{waiting}"
    )

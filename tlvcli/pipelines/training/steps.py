"""The parts of an optimiser step: the gradient of a batch, the step itself, and the moving average that follows it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlvcli.core.runtime import derive_seed, seeded_globally
from tlvcli.data.loading import Batch
from tlvcli.methods.finetuning.l2_sp import penalty, starting_points
from tlvcli.methods.finetuning.plan import Phase
from tlvcli.models.feature_split import FeatureSplit, head_module
from tlvcli.pipelines.precision import autocast_to
from tlvcli.pipelines.training.crossover_source import crossing_by_batch
from tlvcli.pipelines.training.job import TrainingJob
from tlvcli.pipelines.training.losses import training_loss
from tlvcli.pipelines.training.moving_average import MovingAverage, start_average
from tlvcli.pipelines.training.optimizers import make_optimizer
from tlvcli.pipelines.training.schedules import Schedule, make_schedule
from tlvcli.pipelines.training.sharing import find_idle_parameters

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Learner:
    """The network in training: what its steps write into, and how they compute.

    Args:
        module: the whole network, with the names of the checkpoint.
        network: what is given the batches: the module, compiled perhaps, or its head where features are cached.
        evaluated: what is given those of val: the same of the module that is kept.
        average: the moving average of the module.
        scaler: of the loss, at work under fp16 alone.
        parameters: of the module, by name.
        start: the values that L2-SP draws to.
        class_weights: how much each class counts in the loss.
        crossing: exchanges features in the forward pass of a batch, by its epoch and number.
        idle: parameters that the loss does not depend on; known where several processes learn.
    """

    job: TrainingJob
    module: nn.Module
    network: Callable[[Tensor], Any]
    evaluated: nn.Module
    average: MovingAverage | None
    scaler: torch.amp.GradScaler
    autocast: torch.autocast
    parameters: Mapping[str, Tensor]
    start: Mapping[str, Tensor]
    class_weights: Tensor | None
    crossing: Callable[[int, int], AbstractContextManager[None]] | None
    idle: frozenset[str]

    @property
    def kept(self) -> nn.Module:
        """The module that is measured and saved: the average where there is one."""
        return self.average.module if self.average else self.module


@dataclass(frozen=True)
class PhaseRun:
    """A phase of the run: its optimiser, its schedule, and the step of the run at which it begins."""

    phase: Phase
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    first_epoch: int
    first_step: int


def make_learner(job: TrainingJob, split: FeatureSplit | None = None) -> Learner:
    """Return the job's network ready to learn, as it is before the first step; with `split`, from cached features."""
    import torch

    from tlvcli.data.sampling import class_weights

    module, config = job.module, job.config
    if config.channels_last:
        module.to(memory_format=torch.channels_last)
    parameters = dict(module.named_parameters())
    average = start_average(module, config.ema) if config.ema is not None else None
    kept = average.module if average else module
    network = head_module(module, split) if split else module
    weights = class_weights(job.data.train.labels, job.architecture.num_classes) if config.class_weights else None
    return Learner(
        job=job,
        module=module,
        network=torch.compile(network) if config.compile else network,
        evaluated=head_module(kept, split) if split else kept,
        average=average,
        scaler=torch.amp.GradScaler(job.device.type, enabled=job.precision == "fp16"),
        autocast=autocast_to(job.precision, job.device),
        parameters=parameters,
        start=starting_points(job.plan, parameters),
        class_weights=None if weights is None else weights.to(job.device),
        crossing=crossing_by_batch(job.crossover, module, config.seed) if job.crossover else None,
        idle=find_idle_parameters(job) if job.processes.several else frozenset(),
    )


def make_phases(job: TrainingJob, steps_per_epoch: int) -> tuple[PhaseRun, ...]:
    """Return the phases in their order, each with an optimiser and a schedule of its own."""
    runs, first_epoch, config = [], 1, job.config
    assert config.weight_decay is not None, "the settings are resolved"
    for phase in job.plan.phases:
        epochs = config.epochs + 1 - first_epoch if phase.epochs is None else phase.epochs
        schedule = make_schedule(
            config.schedule,
            peak=config.peak,
            epochs=epochs,
            steps_per_epoch=steps_per_epoch,
            warmup_epochs=config.warmup_epochs,
            decay_epochs=config.decay_epochs,
            decay_rate=config.decay_rate,
            milestones=config.milestones,
        )
        optimizer = make_optimizer(job.module, phase, name=config.optimizer, weight_decay=config.weight_decay)
        runs.append(PhaseRun(phase, optimizer, schedule, first_epoch, (first_epoch - 1) * steps_per_epoch))
        first_epoch += epochs
    return tuple(runs)


def phase_of(phases: Sequence[PhaseRun], epoch: int) -> PhaseRun:
    """Return the phase that an epoch belongs to."""
    return next(running for running in reversed(phases) if running.first_epoch <= epoch)


def add_gradient(
    learner: Learner, phase: Phase, batch: Batch, *, epoch: int, number: int, weight: float
) -> tuple[Tensor, Tensor]:
    """Add `weight` times the gradient of one batch to that of the step; `number` counts batches of the epoch from 1.

    Returns:
        The mean loss of the batch in nats, and with the regularisers what was minimised.
    """
    images, labels = _mixed(learner.job, batch, epoch, number)
    # Dropout, stochastic depth and feature crossover depend on the batch alone, not on what was drawn before it:
    # a run that is resumed draws the same.
    with _seeded(learner.job, epoch, number):
        with learner.autocast:
            if learner.crossing is None:
                outputs = learner.network(images)
            else:
                with learner.crossing(epoch, number):
                    outputs = learner.network(images)
        loss = training_loss(
            outputs,
            labels,
            label_smoothing=learner.job.config.label_smoothing,
            class_weights=learner.class_weights,
        )
        held = penalty(phase, learner.parameters, learner.start)
        objective = loss if held is None else loss + held
        part = objective if weight == 1 else objective * weight
        learner.scaler.scale(part).backward()  # type: ignore[no-untyped-call]
    return loss, objective


def take_step(learner: Learner, optimizer: torch.optim.Optimizer) -> None:
    """Step by the gradient that has been added up, and clear it."""
    import torch

    clip_norm = learner.job.config.clip_norm
    if clip_norm is not None:
        learner.scaler.unscale_(optimizer)
        torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], clip_norm)
    learner.scaler.step(optimizer)
    learner.scaler.update()
    optimizer.zero_grad(set_to_none=True)


def _mixed(job: TrainingJob, batch: Batch, epoch: int, number: int) -> tuple[Tensor, Tensor]:
    import torch

    from tlvcli.data.mixing import mix

    images, labels = batch.images, batch.labels
    augmentation = job.augmentation
    if augmentation.mixes:
        images, labels = mix(
            images,
            labels,
            augmentation=augmentation,
            num_classes=job.architecture.num_classes,
            seed=job.config.seed,
            epoch=epoch,
            step=number,
        )
    if job.config.channels_last and images.ndim == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    return images, labels


@contextmanager
def _seeded(job: TrainingJob, epoch: int, number: int) -> Iterator[None]:
    import torch

    # Every process draws for its own images; the first one as if it were alone.
    rank = job.processes.rank
    names: tuple[str | int, ...] = ("training", epoch, number, *([rank] if rank else []))
    on_card = job.device.type == "cuda"
    with seeded_globally(job.config.seed, *names), torch.random.fork_rng(devices=[job.device] if on_card else []):
        if on_card:
            with torch.cuda.device(job.device):
                torch.cuda.manual_seed(derive_seed(job.config.seed, *names))
        yield

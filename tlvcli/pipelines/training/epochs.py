"""One epoch of training: batches in, steps taken."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, replace
from itertools import islice

from tlvcli.core.errors import TlvError
from tlvcli.data.loading import Batch
from tlvcli.methods.finetuning.masks import find_rows, held_rows
from tlvcli.pipelines.training.losses import loss_not_finite
from tlvcli.pipelines.training.modes import set_modes
from tlvcli.pipelines.training.moving_average import update_average
from tlvcli.pipelines.training.sharing import keep_to_ourselves, share_network
from tlvcli.pipelines.training.steps import Learner, PhaseRun, add_gradient, take_step
from tlvcli.pipelines.training.tally import RunningEpoch, Tally

# A look at a loss has a GPU wait; on the CPU it is there anyway.
_LOOK_EVERY = {"cuda": 50}


@dataclass(frozen=True)
class EpochShape:
    """How the images of an epoch fall into batches, and these into steps; the last of each may be smaller."""

    num_images: int
    batch_size: int
    accumulate: int

    @property
    def num_batches(self) -> int:
        """Batches of an epoch."""
        return -(-self.num_images // self.batch_size)

    @property
    def num_steps(self) -> int:
        """Optimiser steps of an epoch."""
        return -(-self.num_batches // self.accumulate)

    def batches_before(self, step: int) -> int:
        """Return how many batches the steps before this one, counted from 0, are made of."""
        return min(step * self.accumulate, self.num_batches)

    def images_of_step(self, step: int) -> int:
        """Return over how many images the gradient of a step, counted from 0, is averaged."""
        whole = self.batch_size * self.accumulate
        return min(whole, self.num_images - step * whole)

    def batches_of_step(self, step: int) -> int:
        """Return how many batches make up a step, counted from 0."""
        return min(self.accumulate, self.num_batches - step * self.accumulate)


def train_epoch(
    learner: Learner,
    running: PhaseRun,
    batches: Iterator[Batch],
    shape: EpochShape,
    *,
    epoch: int,
    first_step: int,
    before: RunningEpoch,
    last_good: str,
    after_batch: Callable[[], None],
    after_step: Callable[[int, Tally], None],
) -> RunningEpoch:
    """Train on `batches`, writing into the learner and the optimiser, and return what the epoch has come to.

    An interrupted epoch goes on at `first_step`, with the sums it had come to `before`. `after_step` is given the
    number of steps that the epoch has taken.

    Raises:
        TlvError: `loss-not-finite`, naming epoch, step, batch and `last_good`.
    """
    set_modes(learner.module, running.phase)
    processes = learner.job.processes
    if processes.several:
        learner = replace(
            learner, network=share_network(learner.network, running.phase, learner.parameters, learner.idle)
        )
    masked, scale = find_rows(learner.module, learner.job.plan.masks), learner.job.plan.mask_scale
    tally = Tally(
        before,
        look_every=_LOOK_EVERY.get(learner.job.device.type, 1),
        fail=lambda loss, batch: _not_finite(loss, epoch, batch, shape, last_good, learner.job.config.checkpoint),
        processes=processes,
    )
    waited_for = tally.waited_for(batches)
    for step in range(first_step, shape.num_steps):
        of_run = (epoch - 1) * shape.num_steps + step
        rate = running.schedule.learning_rate(of_run - running.first_step)
        for group in running.optimizer.param_groups:
            group["lr"] = rate * group["rate"]
        first, last = (shape.batches_before(taken) for taken in (step, step + 1))
        with held_rows(masked, scale):
            for number, batch in enumerate(islice(waited_for, last - first), start=first + 1):
                # Gradients of several processes are averaged, as if the shares of all were equally large.
                weight = len(batch.labels) * processes.world_size / shape.images_of_step(step)
                with nullcontext() if number == last else keep_to_ourselves(learner.network):
                    loss, objective = add_gradient(
                        learner, running.phase, batch, epoch=epoch, number=number, weight=weight
                    )
                share = len(batch.labels) / batch.global_size
                tally.add(loss, objective, images=batch.global_size, batch=number, learning_rate=rate, share=share)
                after_batch()
            take_step(learner, running.optimizer)
        # Outside, where masked rows are what they were before the step.
        if learner.average is not None:
            update_average(learner.average, learner.module, is_first=of_run == 0)
        after_step(step + 1, tally)
    tally.settle()
    return tally.sums()


def _not_finite(loss: float, epoch: int, batch: int, shape: EpochShape, last_good: str, checkpoint: str) -> TlvError:
    step = (batch - 1) // shape.accumulate + 1
    untrained = checkpoint if (epoch, step) == (1, 1) else None
    return loss_not_finite(loss, f"in epoch {epoch}, step {step}, batch {batch}", last_good, untrained=untrained)

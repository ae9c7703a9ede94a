"""One epoch of training: forward, loss, backward, step."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tlvcli.core.errors import TlvError
from tlvcli.core.runtime import derive_seed, seeded_globally
from tlvcli.data.loading import Batch
from tlvcli.methods.finetuning.l2_sp import penalty
from tlvcli.methods.finetuning.masks import find_rows, held_rows
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase
from tlvcli.pipelines.schedules import Schedule

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# How much the auxiliary heads count, as their papers have it: Szegedy et al. 2015 and 2016.
_AUXILIARY_WEIGHTS: Mapping[str, float] = {"GoogLeNetOutputs": 0.3, "InceptionOutputs": 0.4}


@dataclass(frozen=True)
class EpochOutcome:
    """Mean loss per image in nats, images seen, wall time, and the learning rate of the last step."""

    loss: float
    images: int
    seconds: float
    learning_rate: float


@dataclass(frozen=True)
class PhaseRun:
    """A phase about to run: its optimiser, its schedule, and the step of the run at which it begins."""

    phase: Phase
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    first_step: int


def train_epoch(
    module: nn.Module,
    batches: Iterable[Batch],
    running: PhaseRun,
    *,
    plan: FinetunePlan,
    start: Mapping[str, Tensor],
    first_step: int,
    epoch: int,
    seed: int,
    label_smoothing: float,
    autocast: torch.autocast,
    scaler: torch.amp.GradScaler,
    last_good: str,
    after_batch: Callable[[], None],
) -> EpochOutcome:
    """Train on `batches`, writing into `module`, the optimiser and `scaler`; the loss returned is without L2-SP.

    `start` holds the values that L2-SP draws to; steps are counted from the beginning of the run.

    Raises:
        TlvError: `loss-not-finite`, naming epoch, step and `last_good`.
    """
    optimizer, phase = running.optimizer, running.phase
    parameters = dict(module.named_parameters())
    masked = find_rows(module, plan.masks)
    _set_modes(module, phase)
    device = next(module.parameters()).device
    total, images, rate = 0.0, 0, 0.0
    started = time.perf_counter()
    # Dropout and stochastic depth draw from the global generators.
    with _seeded(seed, epoch, device):
        for step, batch in enumerate(batches, start=first_step):
            rate = running.schedule.learning_rate(step - running.first_step)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate"]
            with held_rows(masked, plan.mask_scale):
                with autocast:
                    loss = training_loss(module(batch.images), batch.labels, label_smoothing)
                value = float(loss.detach())
                held = penalty(phase, parameters, start)
                if held is not None:
                    loss = loss + held
                if not math.isfinite(value) or (held is not None and not math.isfinite(float(held.detach()))):
                    where = f"in epoch {epoch}, step {step - first_step + 1}"
                    raise loss_not_finite(float(loss.detach()), where, last_good)
                optimizer.zero_grad(set_to_none=True)
                scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
                scaler.step(optimizer)
                scaler.update()
            total += value * len(batch.labels)
            images += len(batch.labels)
            after_batch()
    return EpochOutcome(total / images, images, time.perf_counter() - started, rate)


def _set_modes(module: nn.Module, phase: Phase) -> None:
    """Put the module into training, and what is frozen into evaluation mode, without gradients."""
    module.train()
    trained = {name for group in phase.groups for name in group.parameters}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in trained)
        parameter.grad = None if name not in trained else parameter.grad
    for name in phase.frozen:
        module.get_submodule(name).eval()


def training_loss(outputs: Any, labels: Tensor, label_smoothing: float) -> Tensor:
    """Return the cross-entropy; GoogLeNet and Inception add that of their auxiliary heads."""
    from torch.nn.functional import cross_entropy

    def loss_of(logits: Tensor) -> Tensor:
        return cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)

    if not isinstance(outputs, tuple):
        return loss_of(outputs)
    main, *auxiliary = outputs
    weight = _AUXILIARY_WEIGHTS.get(type(outputs).__name__, 0.0)
    loss = loss_of(main)
    for logits in auxiliary:
        if weight and logits is not None:
            loss = loss + weight * loss_of(logits)
    return loss


def loss_not_finite(loss: float, where: str, last_good: str) -> TlvError:
    """Return the error of a training that has come apart; `last_good` says what can be gone back to."""
    return TlvError(
        "loss-not-finite",
        f"the loss is {loss} {where}; {last_good}",
        "a lower --lr or a longer warm-up usually helps; in half precision, try --precision fp32",
    )


def learns_statistics(module: nn.Module, plan: FinetunePlan) -> bool:
    """Return whether in any phase a layer takes its statistics from the batch."""
    from torch.nn.modules.batchnorm import _BatchNorm

    layers = [name for name, layer in module.named_modules() if isinstance(layer, _BatchNorm)]
    return any(
        not any(f"{layer}.".startswith(f"{frozen}.") for frozen in phase.frozen)
        for phase in plan.phases
        for layer in layers
    )


@contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    import torch

    cards = [device] if device.type == "cuda" else []
    with seeded_globally(seed, "training", epoch), torch.random.fork_rng(devices=cards):
        if cards:
            torch.cuda.manual_seed(derive_seed(seed, "training", epoch))
        yield

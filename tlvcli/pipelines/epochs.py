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
from tlvcli.methods.finetuning.plan import FinetunePlan

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# How much the auxiliary heads count, as their papers have it: Szegedy et al. 2015 and 2016.
_AUXILIARY_WEIGHTS: Mapping[str, float] = {"GoogLeNetOutputs": 0.3, "InceptionOutputs": 0.4}


@dataclass(frozen=True)
class Schedule:
    """Linear warm-up, then a half cosine down to zero at the last step; all counts are optimiser steps."""

    peak: float
    warmup_steps: int
    total_steps: int

    def learning_rate(self, step: int) -> float:
        """Return the rate of one step, counted from 0."""
        if step < self.warmup_steps:
            return self.peak * (step + 1) / self.warmup_steps
        done = (step - self.warmup_steps) / max(1, self.total_steps - self.warmup_steps)
        return self.peak * 0.5 * (1 + math.cos(math.pi * done))


@dataclass(frozen=True)
class EpochOutcome:
    """Mean loss per image in nats, images seen, wall time, and the learning rate of the last step."""

    loss: float
    images: int
    seconds: float
    learning_rate: float


def make_optimizer(module: nn.Module, plan: FinetunePlan, *, weight_decay: float) -> torch.optim.Optimizer:
    """Return AdamW over the groups of the plan; its rate is set step by step."""
    import torch

    parameters = dict(module.named_parameters())
    groups: list[dict[str, Any]] = [
        {
            "params": [parameters[name] for name in group.parameters],
            "weight_decay": weight_decay if group.decays else 0.0,
            "rate": group.rate,
        }
        for group in plan.groups
    ]
    return torch.optim.AdamW(groups)


def train_epoch(
    module: nn.Module,
    batches: Iterable[Batch],
    optimizer: torch.optim.Optimizer,
    *,
    schedule: Schedule,
    first_step: int,
    epoch: int,
    seed: int,
    label_smoothing: float,
    autocast: torch.autocast,
    scaler: torch.amp.GradScaler,
    last_good: str,
    after_batch: Callable[[], None],
) -> EpochOutcome:
    """Train on `batches`, writing into `module`, `optimizer` and `scaler`.

    Raises:
        TlvError: `loss-not-finite`, naming epoch, step and `last_good`.
    """
    module.train()
    device = next(module.parameters()).device
    total, images, rate = 0.0, 0, 0.0
    started = time.perf_counter()
    # Dropout and stochastic depth draw from the global generators.
    with _seeded(seed, epoch, device):
        for step, batch in enumerate(batches, start=first_step):
            rate = schedule.learning_rate(step)
            for group in optimizer.param_groups:
                group["lr"] = rate * group["rate"]
            with autocast:
                loss = training_loss(module(batch.images), batch.labels, label_smoothing)
            value = float(loss.detach())
            if not math.isfinite(value):
                where = f"in epoch {epoch}, step {step - first_step + 1}"
                raise loss_not_finite(value, where, last_good)
            optimizer.zero_grad(set_to_none=True)
            scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            scaler.step(optimizer)
            scaler.update()
            total += value * len(batch.labels)
            images += len(batch.labels)
            after_batch()
    return EpochOutcome(total / images, images, time.perf_counter() - started, rate)


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


def has_batch_norm(module: nn.Module) -> bool:
    """Return whether any layer takes its statistics from the batch."""
    from torch.nn.modules.batchnorm import _BatchNorm

    return any(isinstance(layer, _BatchNorm) for layer in module.modules())


@contextmanager
def _seeded(seed: int, epoch: int, device: torch.device) -> Iterator[None]:
    import torch

    cards = [device] if device.type == "cuda" else []
    with seeded_globally(seed, "training", epoch), torch.random.fork_rng(devices=cards):
        if cards:
            torch.cuda.manual_seed(derive_seed(seed, "training", epoch))
        yield

"""One pass over labelled images without training: what each network answers, and what training needs of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.processes import ALONE, Processes, gather
from tlvcli.data.loading import Batch
from tlvcli.methods.metrics.classification import averages, sum_once
from tlvcli.methods.metrics.image_scores import ImageScores, join_scores, score_logits

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import Tensor, nn


@dataclass(frozen=True)
class Contestant:
    """A network, and its output for every label of the data, [labels] int64 on its device; None where they agree."""

    module: nn.Module
    outputs: Tensor | None = None


@dataclass(frozen=True)
class Pass:
    """Every network's rows in the order of the data set, on the CPU, and the wall time with reading the images in it.

    Rows are None where not one image could be read.
    """

    scores: tuple[ImageScores, ...] | None
    seconds: float


@dataclass(frozen=True)
class Evaluation:
    """Shares of 1, the mean cross-entropy in nats, and the wall time with reading the images in it.

    `balanced_accuracy` is the mean over the classes that have images of the share found of each.
    """

    top1: float
    balanced_accuracy: float
    loss: float
    images: int
    seconds: float


def score_images(
    contestants: Sequence[Contestant],
    batches: Iterable[Batch],
    *,
    autocast: torch.autocast,
    after_batch: Callable[[], None] = lambda: None,
    processes: Processes = ALONE,
) -> Pass:
    """Send every batch through every network in eval mode, and give these back in the mode that they were in.

    Of several processes each brings its own batches, perhaps none; all return the whole, and the longest time.
    """
    import torch

    rows: list[list[ImageScores]] = [[] for _ in contestants]
    started = time.perf_counter()
    with ExitStack() as modes, torch.inference_mode():
        for contestant in contestants:
            modes.enter_context(_evaluating(contestant.module))
        for batch in batches:
            for contestant, of_one in zip(contestants, rows, strict=True):
                with autocast:
                    logits = contestant.module(batch.images)
                labels = batch.labels if contestant.outputs is None else contestant.outputs[batch.labels]
                # Stays on the device: nothing waits for the network before the pass is over.
                of_one.append(score_logits(logits, labels, batch.positions))
            after_batch()
        ours = [join_scores(of_one).to_cpu() for of_one in rows if of_one]
    seconds = time.perf_counter() - started
    parts, times = zip(*gather(processes, (ours, seconds)), strict=True)
    scores = tuple(map(join_scores, zip(*(part for part in parts if part), strict=True)))
    return Pass(scores or None, max(times))


def evaluate(
    module: nn.Module,
    batches: Iterable[Batch],
    *,
    autocast: torch.autocast,
    after_batch: Callable[[], None] = lambda: None,
    processes: Processes = ALONE,
) -> Evaluation:
    """Return what training reports of a network; the loss is NaN or infinite where the network's outputs are.

    Of several processes each brings its own batches, perhaps none; all return the whole.
    """
    done = score_images([Contestant(module)], batches, autocast=autocast, after_batch=after_batch, processes=processes)
    assert done.scores is not None
    (scores,) = done.scores
    measured = averages(sum_once(scores))
    return Evaluation(
        top1=int(scores.correct.sum()) / len(scores),
        balanced_accuracy=float(measured["balanced-accuracy"][0]),
        loss=float(measured["loss"][0]),
        images=len(scores),
        seconds=done.seconds,
    )


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    was_training = module.training
    module.eval()
    try:
        yield
    finally:
        module.train(was_training)

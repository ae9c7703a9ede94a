"""One pass over labelled images without training: accuracy and loss."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.processes import ALONE, Processes, sum_over
from tlvcli.data.loading import Batch

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

_TOP = 5


@dataclass(frozen=True)
class Evaluation:
    """Shares of 1, the mean cross-entropy in nats, and the wall time with reading the images in it.

    `top5` is None below 6 classes, where it could not be anything but 1. `balanced_accuracy` is the mean over the
    classes that have images of the share found of each.
    """

    top1: float
    balanced_accuracy: float
    top5: float | None
    loss: float
    images: int
    seconds: float


def evaluate(
    module: nn.Module,
    batches: Iterable[Batch],
    *,
    num_classes: int,
    autocast: torch.autocast,
    class_indices: Tensor | None = None,
    after_batch: Callable[[], None] = lambda: None,
    processes: Processes = ALONE,
) -> Evaluation:
    """Evaluate in eval mode, and give the module back in the mode it was in.

    `class_indices` maps the label of the data to the output of the network. The loss is NaN or infinite where
    the network's outputs are. Of several processes each brings its own batches, perhaps none; all return the whole.
    """
    import torch
    from torch.nn.functional import cross_entropy
    from torchmetrics.classification import MulticlassAccuracy, MulticlassStatScores

    device = next(module.parameters()).device
    top = {
        k: MulticlassAccuracy(num_classes=num_classes, top_k=k, average="micro", validate_args=False).to(device)
        for k in (1, _TOP)
        if k == 1 or num_classes > _TOP
    }
    by_class = MulticlassStatScores(num_classes=num_classes, average=None, validate_args=False).to(device)
    # Summed in double precision, so that the mean does not depend on how the images are batched.
    loss = torch.zeros((), dtype=torch.float64, device=device)
    seen = 0
    was_training = module.training
    module.eval()
    started = time.perf_counter()
    try:
        with torch.inference_mode():
            for batch in batches:
                labels = batch.labels if class_indices is None else class_indices[batch.labels]
                with autocast:
                    logits = module(batch.images)
                logits = logits.float()
                loss += cross_entropy(logits, labels, reduction="none").double().sum()
                for metric in (*top.values(), by_class):
                    metric.update(logits, labels)
                seen += len(labels)
                after_batch()
    finally:
        module.train(was_training)
    images = int(sum_over(processes, torch.tensor(seen, device=device)))
    mean_loss = float(sum_over(processes, loss)) / images
    seconds = time.perf_counter() - started
    # torchmetrics adds up the counts of all processes itself.
    # It divides in float32; a share of so many images is a ratio of integers.
    shares = {k: round(float(accuracy.compute()) * images) / images for k, accuracy in top.items()}
    return Evaluation(
        top1=shares[1],
        balanced_accuracy=_balanced_accuracy(by_class.compute()),
        top5=shares.get(_TOP),
        loss=mean_loss,
        images=images,
        seconds=seconds,
    )


def _balanced_accuracy(counts: Tensor) -> float:
    """Return the mean recall from [classes, 5] counts, of which the first is found and the last is there."""
    found, images = counts[:, 0].double(), counts[:, 4].double()
    there = images > 0
    return float((found[there] / images[there]).mean())

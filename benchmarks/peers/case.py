"""What every contender of a training benchmark is told, and what it answers."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Case:
    """A training run: `data` has train/ and val/ with class folders; `workers` is None for ours to choose.

    A probe trains the last layer alone, without augmentation. On CUDA all compute in fp16.
    """

    arch: str
    data: str
    out: str
    image_size: int
    batch_size: int
    epochs: int
    workers: int | None
    device: str
    lr: float = 0.01
    probe: bool = False


@dataclass(frozen=True)
class Answer:
    """Images per second of every epoch of training, images trained on in all, and CUDA's peak memory in MB."""

    rates: list[float]
    images: int
    device_mb: float | None


def main(train: Callable[[Case], Answer]) -> None:
    """Run the case given as JSON on the command line, and print the answer as the last line."""
    print(json.dumps(asdict(train(Case(**json.loads(sys.argv[1]))))))


def run_epochs(case: Case, train_epoch: Callable[[], int], after_epoch: Callable[[], None]) -> Answer:
    """Time `train_epoch`, which returns the images it saw; validation and saving come after, outside the rates."""
    import torch

    rates, total = [], 0
    for _ in range(case.epochs):
        started = time.perf_counter()
        images = train_epoch()
        if case.device == "cuda":
            torch.cuda.synchronize()
        rates.append(images / (time.perf_counter() - started))
        total += images
        after_epoch()
    return Answer(rates, total, device_peak_mb(case))


def device_peak_mb(case: Case) -> float | None:
    """Return the most memory that tensors took on the card, in MB; None on the CPU."""
    import torch

    return torch.cuda.max_memory_allocated() / 1e6 if case.device == "cuda" else None

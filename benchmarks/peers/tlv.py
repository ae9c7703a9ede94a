"""`tlv train`'s engine on the same case, called as its command calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.peers.case import Answer, Case, device_peak_mb, main


def train(case: Case) -> Answer:
    """Train by the pipeline of `tlv train`; the rates are those of its report."""
    from tlvcli.pipelines.train import run
    from tlvcli.pipelines.training.config import TrainConfig

    probe: dict[str, Any] = {"strategy": "linear-probe", "augment": "none"} if case.probe else {}
    config = TrainConfig(
        checkpoint=f"{case.arch}@random",
        data=case.data,
        out=str(Path(case.out, "run")),
        epochs=case.epochs,
        batch_size=case.batch_size,
        image_size=case.image_size,
        lr=case.lr,
        optimizer="sgd",
        schedule="constant",
        warmup_epochs=0,
        workers=case.workers,
        precision="fp16" if case.device == "cuda" else "fp32",
        device=case.device,
        offline=True,
        **probe,
    )
    result = run(config).result
    rates = [epoch.images_per_second for epoch in result.epochs]
    return Answer(rates, result.num_train_images * len(rates), device_peak_mb(case))


if __name__ == "__main__":
    main(train)

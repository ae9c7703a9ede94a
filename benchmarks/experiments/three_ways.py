"""Seed 002: a pretrained network used in three ways, beside training from scratch, on a sample of CIFAR-10.

squeezenet1_1 with its ImageNet weights at 64 px, by the recipe `three-ways`: everything at 0.001, the backbone at a
tenth of that, the classifier alone; and the same from random weights. Tested once on all 10,000 test images. Seeds
change sample, head and order. About 11 minutes on two cores: 4 variants, 3 seeds, 8,000 images, 3 epochs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.experiments.cells import Row, Settings, experiment, measure_cells, top1_of, train
from benchmarks.real_data import find_checkpoint, find_data

VARIANTS = {
    "from scratch": ("random", "full"),
    "1: everything": ("pretrained", "full"),
    "2: two rates": ("pretrained", "two-rate"),
    "3: classifier alone": ("pretrained", "linear-probe"),
}


def measure(settings: Settings) -> list[Row]:
    """Return test top-1 by variant and seed."""
    cifar10 = find_data(settings.data, "cifar10", settings.out / "unpacked")
    sources: dict[str, str | Path] = {
        "pretrained": find_checkpoint(settings.data, "squeezenet1_1-imagenet.pth"),
        "random": "squeezenet1_1@random",
    }
    train_images, test_images = settings.pick(8000, 200), settings.pick(10_000, 200)

    def measure_cell(cell: Path, variant: tuple[str, str], seed: int) -> Mapping[str, float]:
        source, strategy = variant
        train(
            cell,
            sources[source],
            f"{cifar10}@train:{train_images}",
            *("--recipe", "three-ways", "--strategy", strategy, "--image-size", "64"),
            *("--epochs", str(settings.pick(3, 1)), "--seed", str(seed), "--data-seed", str(seed)),
        )
        return {"test top-1": top1_of(cell, f"{cifar10}@test:{test_images}")}

    return measure_cells(settings, VARIANTS, measure_cell)


if __name__ == "__main__":
    experiment("three_ways", __doc__, measure, num_seeds=3)

"""Seed 003: a frozen backbone and one new linear layer in the place of the whole classifier, on hymenoptera.

squeezenet1_1 with its ImageNet weights at 224 px, 10 epochs. Without augmentation the features are computed once;
with it they are not; the last line keeps the network's own kind of classifier. There is no test split: the figure is
the last epoch's on val, which selected nothing. Seeds change head and order. About 5 minutes on two cores: 3
variants, 3 seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.experiments.cells import Row, Settings, experiment, measure_cells, top1_of, train
from benchmarks.real_data import find_checkpoint, find_data

VARIANTS = {
    "new linear head": ("--head", "linear", "--augment", "none"),
    "new linear head, augmented": ("--head", "linear", "--augment", "standard"),
    "its own classifier, new": ("--augment", "none"),
}


def measure(settings: Settings) -> list[Row]:
    """Return val top-1 after the last epoch, and seconds of the command, by variant and seed."""
    hymenoptera = find_data(settings.data, "hymenoptera", settings.out / "unpacked")
    squeezenet = find_checkpoint(settings.data, "squeezenet1_1-imagenet.pth")
    data = f"{hymenoptera}@train:24" if settings.quick else hymenoptera

    def measure_cell(cell: Path, arguments: tuple[str, ...], seed: int) -> Mapping[str, float]:
        report = train(
            cell,
            squeezenet,
            data,
            *("--strategy", "linear-probe", *arguments, "--image-size", str(settings.pick(224, 64))),
            *("--epochs", str(settings.pick(10, 2)), "--seed", str(seed)),
        )
        top1 = top1_of(cell, f"{hymenoptera}@val", which="last")
        return {"val top-1": top1, "seconds": report["run"]["seconds"]}

    return measure_cells(settings, VARIANTS, measure_cell)


if __name__ == "__main__":
    experiment("frozen_backbone", __doc__, measure, num_seeds=3)

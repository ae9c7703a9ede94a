"""Seed 001: does it help to freeze the kernels that answer alike on old and new data? 200 CIFAR-10 images.

squeezenet1_1 with its ImageNet weights at 64 px; hymenoptera's training images stand for ImageNet, of which they are
two classes. Plain training of everything against masks from `tlv analyze-stats`: at its default threshold, and with
the most alike quarter, half and three quarters of all kernels frozen to the bit. The recipe `statistics-mask` but for
size and length: 20 epochs, none selected. No shuffle: one order for all epochs, the same in both arms. Tested once on
all 10,000 test images. Seeds change sample, head and order. About 13 minutes on two cores: 5 variants, 5 seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.experiments.cells import Row, Settings, experiment, measure_cells, tlv, top1_of, train
from benchmarks.real_data import find_checkpoint, find_data

# 220 images less the tenth that is held out.
NUM_IMAGES = 220
# A fraction is the share of kernels that are shifted and train; the rest is frozen.
MASKS: dict[str, tuple[str, ...] | None] = {
    "everything trains": None,
    "frozen by the default threshold": (),
    "a quarter frozen": ("--fraction", "0.75"),
    "a half frozen": ("--fraction", "0.5"),
    "three quarters frozen": ("--fraction", "0.25"),
}


def measure(settings: Settings) -> list[Row]:
    """Return test top-1 after the last epoch, and the share of masked channels, by variant and seed."""
    cifar10 = find_data(settings.data, "cifar10", settings.out / "unpacked")
    old = find_data(settings.data, "hymenoptera", settings.out / "unpacked")
    squeezenet = find_checkpoint(settings.data, "squeezenet1_1-imagenet.pth")
    new = f"{cifar10}@train:{settings.pick(NUM_IMAGES, 40)}"

    def measure_cell(cell: Path, threshold: tuple[str, ...] | None, seed: int) -> Mapping[str, float]:
        masking: tuple[str | Path, ...] = ()
        if threshold is not None:
            mask = cell / "mask.safetensors"
            tlv(
                cell / "analyze.json",
                *("analyze-stats", squeezenet, "--source", f"{old}@train", "--target", new, "--mask", mask),
                # The classifier starts afresh and cannot be frozen.
                *("--layers", "features"),
                *("--image-size", "64", "--seed", str(seed), "--data-seed", str(seed), *threshold),
            )
            masking = ("--mask", mask, "--mask-scale", "0")
        report = train(
            cell,
            squeezenet,
            new,
            *("--recipe", "statistics-mask", "--image-size", "64"),
            *("--epochs", str(settings.pick(20, 2)), "--patience", "1000", *masking),
            *("--seed", str(seed), "--data-seed", str(seed)),
        )
        top1 = top1_of(cell, f"{cifar10}@test:{settings.pick(10_000, 200)}", which="last")
        weights = [row for row in report["result"]["parameters"] if len(row["shape"]) > 1]
        masked = sum(row["masked"] * row["shape"][0] for row in weights) / sum(row["shape"][0] for row in weights)
        return {"test top-1": top1, "channels frozen": masked}

    return measure_cells(settings, MASKS, measure_cell)


if __name__ == "__main__":
    experiment("statistics_mask", __doc__, measure, num_seeds=5)

"""The same family without labels: akamaster's ResNet-56 (CIFAR-10) to his ResNet-20, by `tlv transfer --fit`.

1,000 training images of CIFAR-10 without their labels, no gradient step, and the accuracy on all 10,000 test images.
Seeds draw the images. Copies of blocks 0, 3 and 6 of each stage are where all fits start; the source itself is the
line above them. What is given up one at a time shows what each part is worth.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from benchmarks.experiments.cells import Row, Settings, experiment, measure_cells, tlv
from benchmarks.real_data import find_checkpoint, find_data

ARCHITECTURES = Path("examples", "akamaster_resnet.py")
NUM_IMAGES = 1_000
# Flags behind `tlv transfer`; DATA stands for the unlabelled images.
VARIANTS: dict[str, tuple[str, ...]] = {
    "copied": (),
    "copied, statistics re-estimated": ("--calibrate", "DATA"),
    "fitted": ("--fit", "DATA"),
    "fitted, 5,000 images": ("--fit", "MORE"),
    "fitted, 200 images": ("--fit", "FEWER"),
    "fitted, hidden channels as planned": ("--fit", "DATA", "--set", "fit.hidden=own"),
    "fitted, mirrored images, too": ("--fit", "DATA", "--set", "fit.flip=true"),
    "fitted, the head copied": ("--fit", "DATA", "--set", "fit.head=false"),
    "the source": ("SOURCE",),
}


def measure(settings: Settings) -> list[Row]:
    """Return zero-shot test top-1 and the seconds of the transfer, by variant and seed."""
    cifar10 = find_data(settings.data, "cifar10", settings.out / "unpacked")
    source = find_checkpoint(settings.data, "akamaster_resnet56-4bfd9763.th")
    return measure_cells(settings, VARIANTS, partial(_cell, settings, cifar10, source))


def _cell(
    settings: Settings, cifar10: Path, source: Path, cell: Path, flags: tuple[str, ...], seed: int
) -> Mapping[str, float]:
    sizes = {"DATA": NUM_IMAGES, "MORE": 5 * NUM_IMAGES, "FEWER": NUM_IMAGES // 5}
    images = {word: f"{cifar10}@train:{settings.pick(size, size // 5)}" for word, size in sizes.items()}
    test = f"{cifar10}@test:{settings.pick(10_000, 200)}"
    if flags == ("SOURCE",):
        checkpoint, named = source, ("--arch", f"{ARCHITECTURES}:resnet56")
        seconds = {}
    else:
        checkpoint, named = cell / "resnet20.safetensors", ()
        report = tlv(
            cell / "transfer.json",
            *("transfer", source, f"{ARCHITECTURES}:resnet20", checkpoint, "--method", "coherent"),
            *("--source-arch", f"{ARCHITECTURES}:resnet56", "--image-size", "32", "--data-seed", str(seed)),
            *(images.get(flag, flag) for flag in flags),
        )
        seconds = {"seconds": float(report["run"]["seconds"])}
    report = tlv(cell / "test.json", "eval", checkpoint, "--data", test, "--image-size", "32", *named)
    return {"test top-1": float(report["result"]["top1"]), **seconds}


if __name__ == "__main__":
    experiment("fitting", __doc__, measure, num_seeds=3)

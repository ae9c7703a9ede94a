"""Seed 002: a pretrained network used in three ways, beside random weights, on a sample of CIFAR-10: `tlv compare`.

squeezenet1_1 with its ImageNet weights at 64 px, by the recipe `three-ways`: everything at 0.001, the backbone at a
tenth of that, the classifier alone; and each of the three from random weights, the first of which is training from
scratch. Val, a tenth of the training images, chooses the epoch; all 10,000 test images are seen once. A quarter of an
hour on two cores: 6 variants, 3 seeds, 8,000 images, 3 epochs.
"""

from __future__ import annotations

from benchmarks.experiments.cells import settings_of, settings_parser
from benchmarks.experiments.comparison import compare, conclude
from benchmarks.real_data import find_checkpoint, find_data

NAME = "three_ways"


def main() -> None:
    """Read the command line, measure, and print what was found."""
    settings = settings_of(NAME, settings_parser(NAME, str(__doc__), num_seeds=3).parse_args())
    cifar10 = find_data(settings.data, "cifar10", settings.out / "unpacked")
    epochs = settings.pick(3, 1)
    result = compare(
        settings,
        settings.out / "cells",
        *("--source", find_checkpoint(settings.data, "squeezenet1_1-imagenet.pth"), "--source", "squeezenet1_1@random"),
        *("--data", f"{cifar10}@train:{settings.pick(8000, 200)}"),
        *("--test-data", f"{cifar10}@test:{settings.pick(10_000, 200)}"),
        *("--strategies", "full,two-rate,linear-probe", "--baseline", "squeezenet1_1@random/full"),
        *("--recipe", "three-ways", "--image-size", "64", "--epochs", epochs),
    )
    conclude(settings, {f"{epochs} epochs": result})


if __name__ == "__main__":
    main()

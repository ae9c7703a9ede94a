"""Seed 004: how many layers start afresh, at which rates, drawn to where: squeezenet1_1 (ImageNet) on hymenoptera.

The recipe `non-binary` but for optimiser, rate and length: 12 epochs of AdamW at 3e-4 at 128 px, gradients clipped at
1, in place of 800 of SGD at 0.03, the same for all. Four of the nine units before the classifier are the low ones, in
place of 8 of 22. Layers are counted from the output with the classifier as the first. squeezenet has no batch
normalisation: three new layers died within an epoch (a loss of ln 2 from then on) by SGD at 0.001 and 0.005 and by
AdamW at 3e-4; two learned. There is no test split: the figure is the last epoch's on val, which selected nothing.
Seeds change head, order and augmentation. About 12 minutes on two cores: 6 variants, 3 seeds.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.experiments.cells import Row, Settings, experiment, measure_cells, top1_of, train
from benchmarks.real_data import find_checkpoint, find_data

LR = 3e-4
# The recipe has l2-sp; without it, plain decay.
PLAIN = ("--set", "regularizer=null")
VARIANTS = {
    "one rate, new classifier": PLAIN,
    "2 new layers": (*PLAIN, "--new-layers", "2"),
    "3 new layers": (*PLAIN, "--new-layers", "3"),
    "low layers at a tenth": (*PLAIN, "--lr", f"{LR},{LR},{LR / 10}"),
    "l2-sp on low layers": ("--l2sp", "0.0005,0.0005,0.02"),
    "2 new layers, low at a tenth, l2-sp": (
        *("--new-layers", "2", "--lr", f"{LR},{LR},{LR / 10}", "--l2sp", "0.0005,0.0005,0.02"),
    ),
}


def measure(settings: Settings) -> list[Row]:
    """Return val top-1 and loss after the last epoch, by variant and seed."""
    hymenoptera = find_data(settings.data, "hymenoptera", settings.out / "unpacked")
    squeezenet = find_checkpoint(settings.data, "squeezenet1_1-imagenet.pth")
    data = f"{hymenoptera}@train:24" if settings.quick else hymenoptera
    size, epochs = settings.pick(128, 64), settings.pick(12, 1)

    def measure_cell(cell: Path, arguments: tuple[str, ...], seed: int) -> Mapping[str, float]:
        report = train(
            cell,
            squeezenet,
            data,
            *("--recipe", "non-binary", "--num-lowlrs", "4"),
            *("--optimizer", "adamw", "--clip-norm", "1", "--lr", str(LR), *arguments),
            *("--image-size", str(size), "--epochs", str(epochs), "--warmup-epochs", str(epochs / 8)),
            *("--seed", str(seed)),
        )
        top1 = top1_of(cell, f"{hymenoptera}@val", which="last")
        return {"val top-1": top1, "val loss": report["result"]["epochs"][-1]["val_loss"]}

    return measure_cells(settings, VARIANTS, measure_cell)


if __name__ == "__main__":
    experiment("non_binary", __doc__, measure, num_seeds=3)

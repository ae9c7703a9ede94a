"""Seed 000: what TLV and its feature crossover are worth beside He and DPIAT, from VGG to resnet18 on CIFAR-10.

The source is a torchvision vgg11_bn (linear layers and all) that `tlv train` makes on five classes; resnet18 learns
the other five, at 32 px. TLV-base maps convolutions alone; TLV-cross adds crossover; TLV adds the linear layers'
statistics. AdamW at 1e-3, batch 128, as the recipe `tlv` but for rate and length: 5 epochs in place of 200.
resnet18's own pretrained weights, the honest upper line, are not among the data. Tested once on the 5,000 test images
of the five classes. Seeds change sample, start, mapping and order; the source is one. About 25 minutes on two cores:
5 variants, 3 seeds, 3,000 images.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from benchmarks.experiments.cells import Row, Settings, experiment, measure_cells, tlv, top1_of, train
from benchmarks.real_data import find_data, pick_classes

SOURCE_CLASSES = ("airplane", "automobile", "bird", "cat", "deer")
TARGET_CLASSES = ("dog", "frog", "horse", "ship", "truck")
BASE = ("--method", "tlv", "--set", "mapping.linear_statistics=off")
# How resnet18 starts, and whether the source's features cross into its own.
VARIANTS: dict[str, tuple[tuple[str, ...], bool]] = {
    "He": (("--method", "he"), False),
    "DPIAT": (("--method", "dpiat"), False),
    "TLV-base": (BASE, False),
    "TLV-cross": (BASE, True),
    "TLV": (("--method", "tlv"), True),
}


def measure(settings: Settings) -> list[Row]:
    """Return test top-1, and val top-1 after the first epoch, by variant and seed."""
    cifar10 = find_data(settings.data, "cifar10", settings.out / "unpacked")
    target = pick_classes(cifar10, settings.out / "data" / "target", TARGET_CLASSES)
    source = make_source(settings, cifar10)
    images, test_images = settings.pick(3000, 100), settings.pick(5000, 100)

    def measure_cell(cell: Path, variant: tuple[tuple[str, ...], bool], seed: int) -> Mapping[str, float]:
        method, crosses = variant
        start = cell / "start.safetensors"
        tlv(
            cell / "transfer.json",
            *("transfer", source, "resnet18", start),
            *method,
            *("--num-classes", str(len(TARGET_CLASSES)), "--seed", str(seed)),
        )
        report = train(
            cell,
            start,
            f"{target}@train:{images}",
            *("--recipe", "tlv", "--lr", "1e-3", "--image-size", "32", "--epochs", str(settings.pick(5, 1))),
            *(("--crossover", source) if crosses else ()),
            *("--seed", str(seed), "--data-seed", str(seed)),
        )
        top1 = top1_of(cell, f"{target}@test:{test_images}")
        return {"test top-1": top1, "val top-1, epoch 1": report["result"]["epochs"][0]["val_top1"]}

    return measure_cells(settings, VARIANTS, measure_cell)


def make_source(settings: Settings, cifar10: Path, *, num_images: int = 5000, epochs: int = 5) -> Path:
    """Train vgg11_bn on the source's classes, and return the best checkpoint."""
    classes = pick_classes(cifar10, settings.out / "data" / "source", SOURCE_CLASSES)
    cell = settings.out / "source"
    report = train(
        cell,
        "vgg11_bn@random",
        f"{classes}@train:{settings.pick(num_images, 50)}",
        *("--optimizer", "sgd", "--lr", "0.02", "--batch-size", "128", "--image-size", "32"),
        *("--epochs", str(settings.pick(epochs, 1)), "--seed", "0"),
    )
    print(f"source vgg11_bn: val top-1 {report['result']['val_top1']:.3f} on {', '.join(SOURCE_CLASSES)}", flush=True)
    return cell / "run" / "best.safetensors"


if __name__ == "__main__":
    experiment("feature_crossover", __doc__, measure, num_seeds=3)

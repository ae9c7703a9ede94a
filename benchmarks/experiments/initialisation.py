"""What a start is worth, epoch by epoch, on 10,000 images of CIFAR-10 at 32 px, from another architecture's weights.

--pair squeezenet: squeezenet1_1 (ImageNet) starts resnet18. --pair vgg: a vgg11_bn that `tlv train` makes on five
classes starts resnet18 for the other five. --pair resnet56: akamaster's ResNet-56 (CIFAR-10) starts mobilenet_v2.
6 epochs of AdamW (decay 5e-4), one-cycle to 1e-3, batches of 128, shifted by up to 4 pixels and mirrored. Choices are
made on val, 1,111 further training images; the last epoch is tested once, on all test images of the classes. Seeds
change sample, start, mapping and order.

A method is one of `tlv transfer`, with what follows it: tlv, coherent+calibrate, coherent+fit+calibrate,
coherent+mapping.noise=0.5; with +half it trains half the epochs, by a schedule of that length. The plot goes to
OUT/full/PAIR. 7 to 9 minutes of one core a cell of resnet18.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.experiments.accuracy_plot import draw_accuracy
from benchmarks.experiments.cells import (
    Row,
    Settings,
    conclude,
    measure_cells,
    settings_of,
    settings_parser,
    tlv,
    top1_of,
    train,
)
from benchmarks.experiments.feature_crossover import TARGET_CLASSES, make_source
from benchmarks.measure import show
from benchmarks.real_data import find_checkpoint, find_data, pick_classes

NAME = "initialisation"
METHODS = (
    *("he", "tlv", "dpiat", "weight-selection", "coherent"),
    *("coherent+calibrate", "coherent+fit", "coherent+fit+calibrate", "coherent+half"),
)
PUBLISHED = ("tlv", "dpiat")
# A tenth of these is held out, and 10,000 are left.
NUM_IMAGES = 11_111
NUM_TEST_IMAGES_OF_A_CLASS = 1000
EPOCHS = 6
PROTOCOL = (
    *("--optimizer", "adamw", "--lr", "1e-3", "--weight-decay", "5e-4", "--schedule", "one-cycle"),
    *("--batch-size", "128", "--image-size", "32", "--augment", "standard"),
)
# Images without labels for what follows the mapping.
UNLABELLED = {"calibrate": 500, "fit": 1000}
RESNETS = Path(__file__).resolve().parents[2] / "examples" / "akamaster_resnet.py"


@dataclass(frozen=True)
class Pair:
    """A source, what it starts, and the images that this learns; `source_arch` where the file does not show it."""

    source: Path
    target_arch: str
    data: Path
    num_classes: int
    source_arch: str | None = None


def squeezenet(settings: Settings) -> Pair:
    """Return the pair that the method was made on."""
    source = find_checkpoint(settings.data, "squeezenet1_1-imagenet.pth")
    return Pair(source, "resnet18", _cifar10(settings), 10)


def vgg(settings: Settings) -> Pair:
    """Return a pair of data sets of one kind; the source is trained first, once."""
    cifar10 = _cifar10(settings)
    target = pick_classes(cifar10, settings.out / "data" / "target", TARGET_CLASSES)
    source = make_source(settings, cifar10, num_images=10_000, epochs=6)
    return Pair(source, "resnet18", target, len(TARGET_CLASSES))


def resnet56(settings: Settings) -> Pair:
    """Return a pair of one data set, from a residual network to inverted bottlenecks."""
    source = find_checkpoint(settings.data, "akamaster_resnet56-4bfd9763.th")
    return Pair(source, "mobilenet_v2", _cifar10(settings), 10, source_arch=f"{RESNETS}:resnet56")


PAIRS = {"squeezenet": squeezenet, "vgg": vgg, "resnet56": resnet56}


def _cifar10(settings: Settings) -> Path:
    return find_data(settings.data, "cifar10", settings.out.parent / "unpacked")


def measure_cell(settings: Settings, pair: Pair, cell: Path, method: str, seed: int) -> Mapping[str, float]:
    """Return top-1 on the test set after the last epoch, and on val after each."""
    name, *steps = method.split("+")
    start, seeds = cell / "start.safetensors", ("--seed", str(seed), "--data-seed", str(seed))
    epochs, following = settings.pick(EPOCHS, 2), []
    for step in steps:
        if step == "half":
            epochs //= 2
        elif step in UNLABELLED:
            following += [f"--{step}", f"{pair.data}@train:{settings.pick(UNLABELLED[step], 50)}"]
        else:
            following += ["--set", step] if "=" in step else [f"--{step}"]
    tlv(
        cell / "transfer.json",
        *("transfer", pair.source, pair.target_arch, start, "--method", name, "--num-classes", str(pair.num_classes)),
        *(("--source-arch", pair.source_arch) if pair.source_arch else ()),
        *following,
        # Without images, transfer has no sample to draw.
        *(seeds if UNLABELLED.keys() & set(steps) else seeds[:2]),
    )
    sample = f"{pair.data}@train:{settings.pick(NUM_IMAGES, 200)}"
    report = train(cell, start, sample, *PROTOCOL, "--epochs", str(epochs), *seeds)
    num_test_images = settings.pick(NUM_TEST_IMAGES_OF_A_CLASS * pair.num_classes, 100)
    top1 = top1_of(cell, f"{pair.data}@test:{num_test_images}", which="last")
    # The reports stay; they are all that a second start reads, and the weights of a cell take 200 MB.
    shutil.rmtree(cell / "run", ignore_errors=True)
    start.unlink(missing_ok=True)
    return {"test top-1": top1, **{_val(epoch["epoch"]): epoch["val_top1"] for epoch in report["result"]["epochs"]}}


def _val(epoch: int) -> str:
    return f"val, epoch {epoch}"


def curves_of(rows: Sequence[Row]) -> dict[str, list[list[float]]]:
    """Return for each method, epoch by epoch, val top-1 of all its seeds."""
    curves: dict[str, list[list[float]]] = {}
    for row in rows:
        found = [row.values[_val(epoch)] for epoch in range(1, EPOCHS + 1) if _val(epoch) in row.values]
        for epoch, value in enumerate(found):
            curve = curves.setdefault(row.variant, [])
            curve.extend([] for _ in range(epoch + 1 - len(curve)))
            curve[epoch].append(value)
    return curves


def epochs_until_published(curves: Mapping[str, Sequence[Sequence[float]]]) -> list[dict[str, Any]]:
    """Return for each method the first epoch whose mean on val is that of a published method's last one, or None."""
    means = {method: [statistics.mean(values) for values in curve] for method, curve in curves.items()}
    levels = {method: means[method][-1] for method in PUBLISHED if method in means}
    return [
        {"variant": method}
        | {
            f"epochs to {other}'s {level:.3f}": next((n for n, mean in enumerate(curve, 1) if mean >= level), None)
            for other, level in levels.items()
        }
        for method, curve in means.items()
    ]


def main() -> None:
    """Read the command line, measure, and print and draw what was found."""
    parser = settings_parser(NAME, str(__doc__), num_seeds=3)
    parser.add_argument("--pair", choices=PAIRS, default="squeezenet")
    parser.add_argument("--methods", default=",".join(METHODS), help="with commas; default: %(default)s")
    given = parser.parse_args()
    settings = settings_of(f"{NAME}_{given.pair}", given)
    settings = replace(settings, out=settings.out / given.pair)
    started = time.perf_counter()
    pair = PAIRS[given.pair](settings)
    methods = {method: method for method in given.methods.split(",")}
    rows = measure_cells(settings, methods, partial(measure_cell, settings, pair))
    conclude(settings, rows, minutes=(time.perf_counter() - started) / 60)
    curves = curves_of(rows)
    if any(method in curves for method in PUBLISHED):
        show("epochs until the mean on val is that of a published method's last epoch", epochs_until_published(curves))
    if curves:
        draw_accuracy(curves, settings.out / settings.name, title=f"{pair.source.stem} to {pair.target_arch}")


if __name__ == "__main__":
    main()

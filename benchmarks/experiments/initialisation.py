"""What a start is worth on 10,000 images of CIFAR-10 at 32 px, from another architecture's weights: `tlv compare`.

--pair squeezenet: squeezenet1_1 (ImageNet) starts resnet18. --pair vgg: a vgg11_bn that `tlv train` makes on five
classes starts resnet18 for the other five. --pair resnet56: akamaster's ResNet-56 (CIFAR-10) starts mobilenet_v2.
6 epochs of AdamW (decay 5e-4), one-cycle to 1e-3, batches of 128, shifted by up to 4 pixels and mirrored. Val, a tenth
of the 11,111 training images, chooses the epoch; the test images are seen once. All starts see the same images.

Then once more in half the epochs, by a schedule of that length: the starts of --half. 8 minutes of one core a cell of
resnet18. What stops in the middle goes on when it is started again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.experiments.cells import Settings, settings_of, settings_parser
from benchmarks.experiments.comparison import compare, conclude
from benchmarks.experiments.feature_crossover import TARGET_CLASSES, make_source
from benchmarks.real_data import find_checkpoint, find_data, pick_classes

NAME = "initialisation"
METHODS = ("he", "tlv", "dpiat", "coherent", "coherent+calibrate", "coherent+fit", "coherent+fit+calibrate")
# A tenth of these is held out, and 10,000 are left.
NUM_IMAGES = 11_111
NUM_TEST_IMAGES_OF_A_CLASS = 1000
PROTOCOL = (
    *("--lr", "1e-3", "--batch-size", "128", "--image-size", "32"),
    *("--set", "train.optimizer=adamw", "--set", "train.weight_decay=5e-4"),
    *("--set", "train.schedule=one-cycle", "--set", "train.augment=standard"),
)
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
    source = make_source(settings, cifar10)
    return Pair(source, "resnet18", target, len(TARGET_CLASSES))


def resnet56(settings: Settings) -> Pair:
    """Return a pair of one data set, from a residual network to inverted bottlenecks."""
    source = find_checkpoint(settings.data, "akamaster_resnet56-4bfd9763.th")
    return Pair(source, "mobilenet_v2", _cifar10(settings), 10, source_arch=f"{RESNETS}:resnet56")


PAIRS: dict[str, Callable[[Settings], Pair]] = {"squeezenet": squeezenet, "vgg": vgg, "resnet56": resnet56}


def _cifar10(settings: Settings) -> Path:
    return find_data(settings.data, "cifar10", settings.out.parent / "unpacked")


def measure(settings: Settings, pair: Pair, out: Path, methods: str, *, epochs: int) -> dict[str, Any]:
    """Run the starts of one pair, or what is left of them, and return the comparison."""
    num_test_images = settings.pick(NUM_TEST_IMAGES_OF_A_CLASS * pair.num_classes, 100)
    return compare(
        settings,
        out,
        *("--source", pair.source, "--target-arch", pair.target_arch),
        *(("--source-arch", pair.source_arch) if pair.source_arch else ()),
        *("--data", f"{pair.data}@train:{settings.pick(NUM_IMAGES, 200)}"),
        *("--test-data", f"{pair.data}@test:{num_test_images}"),
        *("--methods", methods, "--epochs", epochs),
        *PROTOCOL,
    )


def main() -> None:
    """Read the command line, measure, and print what was found."""
    parser = settings_parser(NAME, str(__doc__), num_seeds=3)
    parser.add_argument("--pair", choices=PAIRS, default="squeezenet")
    parser.add_argument("--methods", default=",".join(METHODS), help="with commas; default: %(default)s")
    parser.add_argument("--epochs", type=int, default=6, help="default: %(default)s")
    parser.add_argument("--half", default="coherent", help="starts for half the epochs, or none; default: %(default)s")
    given = parser.parse_args()
    settings = settings_of(f"{NAME}_{given.pair}", given)
    pair, epochs = PAIRS[given.pair](settings), settings.pick(given.epochs, 2)
    folder = settings.out / f"{given.pair}-{epochs}-epochs"
    found = {f"{epochs} epochs": measure(settings, pair, folder, given.methods, epochs=epochs)}
    if given.half != "none":
        half = folder.with_name(f"{folder.name}-half")
        found["half the epochs"] = measure(settings, pair, half, given.half, epochs=epochs // 2)
    conclude(settings, found)


if __name__ == "__main__":
    main()

"""The torchvision data sets we know by name: their splits, usual sizes, and what augmentation they bear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class ImageTraits:
    """What the images of a set are like; sizes in pixels, mean and std per channel on a scale of 0 to 1.

    `glyphs` are images whose meaning a mirror or a close crop destroys: digits, letters, traffic signs.
    """

    image_size: int = 224
    resize_size: int = 256
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    glyphs: bool = False


@dataclass(frozen=True)
class TorchvisionSet:
    """How one data set is opened; `splits` maps ours to the arguments of the class in torchvision.datasets.

    `class_names` stands in for a set that does not know its own in every torchvision release.
    """

    builder: str
    splits: Mapping[str, Mapping[str, Any]]
    traits: ImageTraits = field(default_factory=ImageTraits)
    downloadable: bool = True
    class_names: tuple[str, ...] | None = None


def _by_name(*names: str) -> dict[str, dict[str, str]]:
    return {name: {"split": name} for name in names}


_BY_FLAG = {"train": {"train": True}, "test": {"train": False}}
_TRAIN_TEST = _by_name("train", "test")
_TRAIN_VAL_TEST = _by_name("train", "val", "test")
# ImageNet's mean and std for every set of colour images: it is what pretrained weights expect.
_TINY = ImageTraits(image_size=32, resize_size=32)


def _grey_glyphs(mean: float, std: float, *, glyphs: bool = True) -> ImageTraits:
    return ImageTraits(32, 32, (mean, mean, mean), (std, std, std), glyphs)


# Measured over all 1797 images after the enlargement from 8 to 32 px.
DIGITS_TRAITS = _grey_glyphs(0.3055, 0.3302)

TORCHVISION_SETS: Mapping[str, TorchvisionSet] = {
    "caltech256": TorchvisionSet("Caltech256", {"all": {}}),
    "cifar10": TorchvisionSet("CIFAR10", _BY_FLAG, _TINY),
    "cifar100": TorchvisionSet("CIFAR100", _BY_FLAG, _TINY),
    "dtd": TorchvisionSet("DTD", _TRAIN_VAL_TEST),
    "eurosat": TorchvisionSet("EuroSAT", {"all": {}}, ImageTraits(64, 64)),
    "fashion-mnist": TorchvisionSet("FashionMNIST", _BY_FLAG, _grey_glyphs(0.286, 0.353, glyphs=False)),
    "fgvc-aircraft": TorchvisionSet("FGVCAircraft", _TRAIN_VAL_TEST),
    "flowers102": TorchvisionSet("Flowers102", _TRAIN_VAL_TEST, class_names=tuple(map(str, range(1, 103)))),
    "food101": TorchvisionSet("Food101", _TRAIN_TEST),
    "gtsrb": TorchvisionSet(
        "GTSRB", _TRAIN_TEST, ImageTraits(64, 64, glyphs=True), class_names=tuple(map(str, range(43)))
    ),
    "imagenet": TorchvisionSet("ImageNet", _by_name("train", "val"), downloadable=False),
    "mnist": TorchvisionSet("MNIST", _BY_FLAG, _grey_glyphs(0.1307, 0.3081)),
    "oxford-iiit-pet": TorchvisionSet("OxfordIIITPet", {"train": {"split": "trainval"}, "test": {"split": "test"}}),
    "stanford-cars": TorchvisionSet("StanfordCars", _TRAIN_TEST, downloadable=False),
    "stl10": TorchvisionSet("STL10", _TRAIN_TEST, ImageTraits(96, 96)),
    "svhn": TorchvisionSet(
        "SVHN", _TRAIN_TEST, ImageTraits(32, 32, glyphs=True), class_names=tuple(map(str, range(10)))
    ),
}

# Other spellings that are in use; case and underscores do not count anyway.
ALIASES: Mapping[str, str] = {
    "aircraft": "fgvc-aircraft",
    "caltech-256": "caltech256",
    "cars": "stanford-cars",
    "cifar-10": "cifar10",
    "cifar-100": "cifar100",
    "flowers": "flowers102",
    "flowers-102": "flowers102",
    "food-101": "food101",
    "oxford-pet": "oxford-iiit-pet",
    "oxford-pets": "oxford-iiit-pet",
    "pets": "oxford-iiit-pet",
}

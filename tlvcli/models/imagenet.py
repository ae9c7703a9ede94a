"""The 1,000 classes of ImageNet (ILSVRC 2012) in the order of the outputs of those who learnt it."""

from __future__ import annotations

from importlib import resources

NUM_CLASSES = 1000


def imagenet_wnids() -> tuple[str, ...]:
    """Return WordNet's numbers of the classes, as n01440764, which rise with the output."""
    text = resources.files("tlvcli.models.recognition").joinpath("imagenet_wnids.txt").read_text(encoding="ascii")
    return tuple(text.split())


def imagenet_class_names() -> tuple[str, ...]:
    """Return torchvision's names of the classes, each of which is another."""
    from torchvision.models import ResNet50_Weights

    return tuple(ResNet50_Weights.IMAGENET1K_V1.meta["categories"])

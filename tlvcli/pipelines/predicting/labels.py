"""What the outputs of a network are called."""

from __future__ import annotations

from tlvcli.models.imagenet import NUM_CLASSES, imagenet_class_names
from tlvcli.pipelines.predicting.result import LabelSource


def choose_labels(class_names: tuple[str, ...] | None, num_classes: int) -> tuple[tuple[str, ...], LabelSource]:
    """Return a label for each output: the checkpoint's own names, ImageNet's for 1,000 outputs, else numbers."""
    if class_names is not None and len(class_names) == num_classes:
        return class_names, "checkpoint"
    if num_classes == NUM_CLASSES:
        return imagenet_class_names(), "imagenet"
    return tuple(map(str, range(num_classes))), "index"

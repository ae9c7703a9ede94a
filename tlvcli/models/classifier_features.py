"""What the classifier of a network sees: the input of its last layer, pooled over the image."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor, nn


@dataclass(frozen=True)
class Features:
    """Of n images: features [n, dimensions] and the network's outputs [n, classes], both as the network computes them.

    `classifier` is the layer whose input the features are; None where none gives the outputs their classes, and the
    features are the outputs themselves.
    """

    values: Tensor
    outputs: Tensor
    classifier: str | None


def classifier_features(module: nn.Module, images: Tensor, *, num_classes: int) -> Features:
    """Run `module`, which the caller has put into eval mode, on images [n, channels, h, w].

    The classifier is the last linear layer or convolution that is called and has as many outputs as there are classes:
    so it is found in any architecture, and auxiliary heads, which eval mode leaves out, are not. A map that it gets is
    averaged over its places.
    """
    inputs: dict[str, Tensor] = {}
    with _watched(module, num_classes, inputs):
        outputs = module(images)
    if inputs and outputs.shape == (len(images), num_classes):
        classifier = list(inputs)[-1]
        return Features(_pool(inputs[classifier], module.get_submodule(classifier)), outputs, classifier)
    return Features(outputs.flatten(2).mean(dim=2) if outputs.dim() > 2 else outputs, outputs, None)


@contextmanager
def _watched(module: nn.Module, num_classes: int, inputs: dict[str, Tensor]) -> Iterator[None]:
    """Keep what the layers with so many outputs get; the one that is called last comes last."""
    from torch import nn

    def keep(name: str, _layer: nn.Module, arguments: tuple[Any, ...], _output: Any) -> None:
        inputs.pop(name, None)
        inputs[name] = arguments[0]

    handles = [
        layer.register_forward_hook(partial(keep, name))
        for name, layer in module.named_modules()
        if isinstance(layer, nn.Linear | nn.Conv2d) and layer.weight.shape[0] == num_classes
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _pool(values: Tensor, layer: nn.Module) -> Tensor:
    """Return [n, dimensions]: a convolution gets [n, dimensions, h, w], a linear layer [n, ..., dimensions]."""
    from torch import nn

    if isinstance(layer, nn.Conv2d):
        return values.flatten(2).mean(dim=2)
    return values.flatten(1, -2).mean(dim=1) if values.dim() > 2 else values

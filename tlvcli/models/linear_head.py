"""One linear layer in the place of a whole classifier, as for a probe of VGG16's convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture

if TYPE_CHECKING:
    from torch import nn


def replace_classifier(module: nn.Module, architecture: Architecture) -> nn.Module:
    """Return `module`, changed: its classifier is one linear layer, behind pooling where it got a feature map.

    The classifier is the child of the network in which the last layer with as many outputs as classes lies.

    Raises:
        TlvError: `head-not-found`.
    """
    from torch import nn

    def takes_channels(layer: nn.Module) -> bool:
        return isinstance(layer, (nn.Linear, nn.Conv2d))

    def outputs(layer: nn.Module) -> object:
        return layer.weight.shape[0]  # type: ignore[index]

    layers = [name for name, layer in module.named_modules() if name and takes_channels(layer)]
    ends = [name for name in layers if outputs(module.get_submodule(name)) == architecture.num_classes]
    if not ends:
        raise TlvError(
            "head-not-found",
            f"{architecture.name} has no layer with {architecture.num_classes} outputs to find its classifier by",
            "leave --head out: the head is then replaced where its shape depends on the classes",
        )
    name = _outermost(module, ends[-1], layers[0])
    classifier = module.get_submodule(name)
    first = next(layer for layer in classifier.modules() if takes_channels(layer))
    gets_map = isinstance(first, nn.Conv2d) or any(isinstance(layer, nn.Flatten) for layer in classifier.modules())
    linear = nn.Linear(int(first.weight.shape[1]), architecture.num_classes)  # type: ignore[index]
    pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(1), linear)
    module.set_submodule(name, pooled if gets_map else linear)
    return module


def _outermost(module: nn.Module, name: str, first_layer: str) -> str:
    """Return the outermost module on the way to `name` that is the layer itself or a plain sequence at the end."""
    from torch import nn

    parts = name.split(".")
    paths = [".".join(parts[: depth + 1]) for depth in range(len(parts))]

    def is_classifier(path: str) -> bool:
        # A class of its own may be called in a way of its own, as timm's heads are; what is inside can be replaced.
        return type(module.get_submodule(path)) is nn.Sequential and not f"{first_layer}.".startswith(f"{path}.")

    return next(path for path in paths if path == name or is_classifier(path))

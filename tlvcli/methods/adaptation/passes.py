"""Passes over images with something done where layers begin and end."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from tlvcli.models.every_layer import every_layer_called

# Images in batches, each a fair sample of all, the same every time it is called.
Batches = Callable[[], Iterable[Tensor]]
# (the layer, its inputs) and (the layer, its inputs, its output) -> another output, or None.
Enter = Callable[[nn.Module, tuple[Any, ...]], None]
Leave = Callable[[nn.Module, tuple[Any, ...], Any], Tensor | None]


@torch.no_grad()
def run_pass(
    module: nn.Module,
    batches: Iterable[Tensor],
    *,
    enter: Mapping[str, Enter] = {},
    leave: Mapping[str, Leave] = {},
) -> int:
    """Compute all batches and call `enter` and `leave` of the named layers on the way; return the number of batches."""
    number = 0
    with ExitStack() as stack:
        stack.enter_context(every_layer_called())
        for name, layer in _named(module, enter):
            stack.callback(layer.register_forward_pre_hook(enter[name]).remove)
        for name, layer in _named(module, leave):
            stack.callback(layer.register_forward_hook(leave[name]).remove)
        for images in batches:
            module(images)
            number += 1
    return number


def _named(module: nn.Module, names: Mapping[str, Any]) -> Iterator[tuple[str, nn.Module]]:
    return ((name, module.get_submodule(name)) for name in names)


def largest_activation(module: nn.Module, images: Tensor) -> int:
    """Return how many bytes the largest output of any layer takes for each image, the images themselves among them."""
    sizes = [images.nbytes]

    def note(_layer: nn.Module, _args: tuple[Any, ...], output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.nbytes)

    run_pass(module, [images], leave=dict.fromkeys(dict(module.named_modules()), note))
    return max(sizes) // len(images)

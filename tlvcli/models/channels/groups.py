"""Channel groups of any module that runs: no layer classes, no names, only what the forward pass does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from math import isqrt

import torch
from torch import Tensor, nn

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.errors import TlvError
from tlvcli.core.runtime import seeded_globally
from tlvcli.models.channels.ledger import Ledger, number_dimensions
from tlvcli.models.channels.tracer import ChannelTracer
from tlvcli.models.every_layer import every_layer_called

_IMAGE_SIZES = (224, 299, 384, 256, 128, 96, 64, 32, 28, 16)


def channel_groups(module: nn.Module) -> ChannelGroups:
    """Return the channel groups of a module; its weights are not read and may have no memory.

    Raises:
        TlvError: `channels-unknown`, when the module takes no image of a usual size.
    """
    numbers = number_dimensions({name: tuple(tensor.shape) for name, tensor in _tensors(module)})
    faults: list[str] = []
    for shape in _image_shapes(module):
        try:
            ledger = _trace(module, Ledger(numbers), shape, training=False)
        except Exception as error:  # whatever a user's forward raises on an image that does not suit it
            faults.append(f"{type(error).__name__} on {'x'.join(map(str, shape[1:]))}: {error}".splitlines()[0])
            continue
        _trace_auxiliary_heads(module, ledger)
        return ledger.groups()
    raise TlvError(
        "channels-unknown",
        f"no way of the channels through the network: {faults[0] if faults else 'it takes no image'}",
        "the module must run on images of a usual size; --method tlv does without",
    )


def _trace_auxiliary_heads(module: nn.Module, ledger: Ledger) -> None:
    """Take from a pass in training mode what does not run in evaluation mode; the rest may be opaque in both."""
    layers = {name for name, layer in module.named_modules() if isinstance(layer, (nn.Conv2d, nn.Linear))}
    for shape in _image_shapes(module):
        if layers <= set(ledger.sites):
            return
        with suppress(Exception):
            ledger.complete(_trace(module, Ledger(ledger.numbers), (2, *shape[1:]), training=True))
            return


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def _trace(module: nn.Module, ledger: Ledger, shape: tuple[int, ...], *, training: bool) -> Ledger:
    # Tensors of our own: a skeleton has its buffers in memory and its weights not, and neither may change.
    state = {name: torch.empty_like(tensor, device="meta") for name, tensor in _tensors(module)}
    image = torch.empty(shape, device="meta")
    with torch.no_grad(), seeded_globally(0), _mode(module, training=training), every_layer_called():
        tracer = ChannelTracer(ledger, state, image)
        with tracer:
            outputs = torch.func.functional_call(module, state, (image,))
        tracer.finish(outputs)
    return ledger


def _image_shapes(module: nn.Module) -> Iterator[tuple[int, ...]]:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            yield from ((1, layer.in_channels, size, size) for size in _IMAGE_SIZES)
            return
        if isinstance(layer, nn.Linear):
            yield (1, layer.in_features)
            for chans in (1, 3):
                side = isqrt(layer.in_features // chans)
                yield (1, chans, side, side)
            return


@contextmanager
def _mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    modes: dict[nn.Module, bool] = {layer: layer.training for layer in module.modules()}
    try:
        for layer in modes:
            layer.training = training
        yield
    finally:
        for layer, mode in modes.items():
            layer.training = mode

"""Masks over output channels: what a frozen kernel keeps is its update, not its gradient.

A gradient of zero does not hold a kernel still: momentum goes on, Adam divides small gradients by small norms, weight
decay needs none, and batch normalisation learns statistics in the forward pass. So after each step the rows are put
back, and with them those of the normalisation that belongs to the kernel.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer, ModelGraph
from tlvcli.methods.finetuning.plan import MaskedRows

if TYPE_CHECKING:
    from torch import Tensor, nn

_MASKABLE = frozenset({"conv1d", "conv2d", "conv3d", "depthwise-conv2d", "linear", "batch-norm"})


def resolve_masks(graph: ModelGraph, masks: Mapping[str, Sequence[int]]) -> tuple[MaskedRows, ...]:
    """Return the rows that each tensor keeps: those of the masked weights, their biases and their normalisation.

    `masks` has for a layer's weight one number for each output channel, 1 for frozen. The batch normalisation of a
    layer is the one the mask names itself, else the next layer, where it normalises as many channels.

    Raises:
        TlvError: `mask-mismatch`, naming the tensors that this network does not have so.
    """
    layers = {layer.leading.name: (number, layer) for number, layer in enumerate(graph.layers)}
    faults = [fault for name, mask in masks.items() if (fault := _fault(name, mask, layers))]
    if faults:
        shown = "; ".join(faults[:3]) + (f"; and {len(faults) - 3} more" if len(faults) > 3 else "")
        raise TlvError(
            "mask-mismatch", f"the mask is for another network: {shown}", "tlv inspect shows the checkpoint's tensors"
        )
    rows: dict[str, MaskedRows] = {}
    for name, mask in masks.items():
        number, layer = layers[name]
        frozen = tuple(row for row, value in enumerate(mask) if value)
        following = graph.layers[number + 1] if number + 1 < len(graph.layers) else None
        normalised = following if following and _follows(following, len(mask)) else None
        if normalised and (layer.kind == "batch-norm" or normalised.leading.name in masks):
            normalised = None
        for masked in filter(None, (layer, normalised)):
            for tensor in masked.tensors:
                if tensor.shape[:1] == (len(mask),):
                    rows[tensor.name] = MaskedRows(tensor.name, frozen, len(mask))
    return tuple(rows.values())


def _fault(name: str, mask: Sequence[int], layers: Mapping[str, tuple[int, Layer]]) -> str | None:
    if name not in layers:
        return f"no layer has the weight {name}"
    layer = layers[name][1]
    if layer.kind not in _MASKABLE:
        return f"{name} belongs to a layer without masks over output channels ({layer.kind})"
    if len(mask) != layer.leading.shape[0]:
        return f"{name} has {layer.leading.shape[0]} output channels, its mask {len(mask)}"
    return f"{name} has values other than 0 and 1" if set(mask) - {0, 1} else None


def _follows(layer: Layer, num_channels: int) -> bool:
    return layer.kind == "batch-norm" and layer.tensors[0].shape[:1] == (num_channels,)


Held = tuple["Tensor", "Tensor"]


def find_rows(module: nn.Module, masks: Sequence[MaskedRows]) -> list[Held]:
    """Return the module's own tensors that are masked, each with the numbers of its masked rows."""
    import torch

    tensors: dict[str, Tensor] = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return [
        (tensors[mask.tensor], torch.tensor(mask.rows, device=tensors[mask.tensor].device))
        for mask in masks
        if mask.rows
    ]


@contextmanager
def held_rows(held: Sequence[Held], scale: float) -> Iterator[None]:
    """Let masked rows take `scale` of whatever happens to them inside: forward pass, decay and step alike.

    At 0 they are afterwards what they were before, to the bit.
    """
    import torch

    with torch.no_grad():
        before = [tensor[rows] for tensor, rows in held]  # indexing by a tensor copies
    yield
    with torch.no_grad():
        for (tensor, rows), kept in zip(held, before, strict=True):
            tensor[rows] = kept if scale == 0 else kept + scale * (tensor[rows] - kept)

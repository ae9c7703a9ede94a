"""Activations made up of what images share and what positions add, and their summaries."""

from __future__ import annotations

import torch
from torch import Tensor

from tlvcli.methods.statistics.stream import LayerStream
from tlvcli.methods.statistics.summary import LayerSummary
from tlvcli.methods.statistics.table import STATISTICS, Part, parts_of

ALL_PARTS: frozenset[Part] = parts_of(STATISTICS) | {"moments"}


def activations(
    num_images: int,
    num_channels: int = 6,
    size: tuple[int, ...] = (5, 4),
    *,
    seed: int = 0,
    shift: Tensor | None = None,
) -> Tensor:
    """ReLU outputs, [n, C, *size]; kernels differ in how often they fire and how much images differ."""
    generator = torch.Generator().manual_seed(seed)
    ones = [1] * len(size)
    bias = torch.linspace(-0.5, 1.0, num_channels).reshape(1, -1, *ones)
    spread = torch.linspace(0.8, 0.2, num_channels).reshape(1, -1, *ones)
    images = torch.randn(num_images, num_channels, *ones, generator=generator) * spread
    values = images + bias + torch.randn(num_images, num_channels, *size, generator=generator)
    return (values if shift is None else values + shift.reshape(1, -1, *ones)).relu()


def summarise(
    activation: Tensor,
    parts: frozenset[Part] = ALL_PARTS,
    *,
    batch: int = 8,
    numbers: Tensor | None = None,
    capacity: int | None = None,
    name: str = "layer",
) -> LayerSummary:
    stream = LayerStream(
        activation.shape[1], parts=parts, seed=7, layer_name=name, device=activation.device, capacity=capacity
    )
    numbers = torch.arange(len(activation)) if numbers is None else numbers
    for begin in range(0, len(activation), batch):
        stream.update(activation[begin : begin + batch], numbers[begin : begin + batch])
    return stream.summary()

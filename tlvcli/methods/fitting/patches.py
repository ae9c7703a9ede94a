"""What a layer reads as rows of a regression: one for every pixel it computes, in every image."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional as F

if TYPE_CHECKING:
    from torch import Tensor

Fittable = nn.Conv2d | nn.Linear


def maps_of(layer: nn.Module, values: Tensor) -> Tensor:
    """Return what a layer read or put out as [n, channels, places]; tokens and pixels are places."""
    by_channel = values.movedim(-1, 1) if isinstance(layer, nn.Linear) else values
    return by_channel.flatten(2) if by_channel.dim() > 2 else by_channel[:, :, None]


def num_groups(layer: Fittable) -> int:
    """Return the number of groups; 1 for a linear layer."""
    return layer.groups if isinstance(layer, nn.Conv2d) else 1


def input_rows(layer: Fittable, values: Tensor, places: Tensor) -> Tensor:
    """Return [groups, in + 1, n * places], the last row ones: what the layer reads to compute these places."""
    read = _windows(layer, values, places) if isinstance(layer, nn.Conv2d) else _tokens(layer, values, places)
    width, taps, num_images, num_places = read.shape
    groups = num_groups(layer)
    rows = values.new_ones(groups, width // groups * taps + 1, num_images * num_places)
    shape = (groups, width // groups, taps, num_images, num_places)
    rows[:, :-1].view(shape).copy_(read.reshape(shape))
    return rows


def output_rows(layer: Fittable, maps: Tensor, places: Tensor) -> Tensor:
    """Return [groups, n * places, out of a group] of maps [n, out, places]."""
    groups = num_groups(layer)
    grouped = maps[:, :, places].reshape(len(maps), groups, maps.shape[1] // groups, len(places))
    return grouped.permute(1, 0, 3, 2).flatten(1, 2)


def kernel_of(layer: Fittable, weights: Tensor) -> Tensor:
    """Return solved weights [groups, in + 1, outputs of a group], without intercepts, as [outputs, in, kh, kw]."""
    return weights[:, :-1].mT.reshape(-1, *layer.weight.shape[1:]).to(layer.weight.dtype)


def weights_of(layer: Fittable, kernel: Tensor) -> Tensor:
    """Return a kernel as [groups, in + 1, outputs of a group] in float64, intercepts zero."""
    grouped = kernel.detach().double().reshape(num_groups(layer), -1, kernel[0].numel())
    return F.pad(grouped.mT, (0, 0, 0, 1))


def compute(layer: Fittable, kernel: Tensor, bias: Tensor, values: Tensor) -> Tensor:
    """Return what the layer computes with another kernel [out, in, kh, kw] and bias [out], in its own layout."""
    if isinstance(layer, nn.Linear):
        return F.linear(values, kernel, bias)
    return F.conv2d(_padded(layer, values), kernel, bias, layer.stride, 0, layer.dilation, layer.groups)


def _padded(layer: nn.Conv2d, values: Tensor) -> Tensor:
    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    # What Conv2d itself pads by, whichever way its padding was given.
    return F.pad(values, layer._reversed_padding_repeated_twice, mode=mode)


def _windows(layer: nn.Conv2d, values: Tensor, places: Tensor) -> Tensor:
    """Return [in, kh * kw, n, places], gathered: few places of a large image cost little."""
    padded = _padded(layer, values)
    width = padded.shape[-1]
    (kh, kw), (sy, sx), (dy, dx) = layer.kernel_size, layer.stride, layer.dilation
    columns = (width - dx * (kw - 1) - 1) // sx + 1
    corner = places // columns * sy * width + places % columns * sx
    taps = (torch.arange(kh)[:, None] * dy * width + torch.arange(kw) * dx).flatten()
    index = (taps[:, None] + corner.cpu()).flatten().to(values.device)
    by_channel = padded.transpose(0, 1).flatten(2)  # [in, n, pixels]
    windows = by_channel.index_select(2, index).view(len(by_channel), len(values), kh * kw, len(places))
    return windows.transpose(1, 2)


def _tokens(layer: nn.Linear, values: Tensor, places: Tensor) -> Tensor:
    return maps_of(layer, values)[:, :, places].transpose(0, 1)[:, None]  # [in, 1, n, places]

"""Rows of a regression against what torch's own layers compute."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tlvcli.core.runtime import make_generator
from tlvcli.methods.fitting.patches import compute, input_rows, kernel_of, maps_of, num_groups, output_rows, weights_of

LAYERS = {
    "padded": (nn.Conv2d(4, 6, 3, padding=1), (2, 4, 7, 9)),
    "strided": (nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), (2, 4, 7, 9)),
    "dilated": (nn.Conv2d(4, 6, 3, dilation=2, padding="same"), (2, 4, 7, 9)),
    "oblong": (nn.Conv2d(4, 6, (1, 5), stride=(2, 1), padding=(0, 2)), (2, 4, 7, 9)),
    "reflecting": (nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), (2, 4, 7, 9)),
    "grouped": (nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 7, 9)),
    "depthwise": (nn.Conv2d(4, 8, 3, padding=1, groups=4), (2, 4, 7, 9)),
    "linear": (nn.Linear(4, 6), (3, 4)),
    "of tokens": (nn.Linear(4, 6, bias=False), (3, 5, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_rows_times_weights_is_what_the_layer_computes(name: str) -> None:
    layer, shape = LAYERS[name]
    values = torch.randn(shape, generator=make_generator(0, name))
    bias = torch.zeros(len(layer.weight)) if layer.bias is None else layer.bias
    maps = maps_of(layer, layer(values))
    places = torch.arange(0, maps.shape[2], 2)
    rows = input_rows(layer, values, places)
    assert torch.equal(rows[:, -1], torch.ones_like(rows[:, -1]))
    weights = weights_of(layer, layer.weight).float()
    weights[:, -1] = bias.view(num_groups(layer), -1)
    torch.testing.assert_close(rows.mT @ weights, output_rows(layer, maps, places))
    assert torch.equal(kernel_of(layer, weights), layer.weight)
    torch.testing.assert_close(compute(layer, layer.weight, bias, values), layer(values))

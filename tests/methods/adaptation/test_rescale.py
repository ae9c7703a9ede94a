"""Weights at He's variance: the fans, and what is left alone."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tests.methods.adaptation.nets import norm_net, plan_of
from tlvcli.methods.adaptation.rescale import he_std, rescale
from tlvcli.models.graph import graph_of_module


def test_every_fed_weight_has_the_std_of_its_fan() -> None:
    module = norm_net()
    done = rescale(module, plan_of(module), graph_of_module(module))
    # How many outputs a value of the input reaches: 8, 16 in two groups, one filter of its own; 16 inputs of the head.
    fans = {"0": 8 * 9, "3": 8 * 9, "6": 9, "9": 16}
    assert [layer.layer for layer in done.layers] == list(fans)
    for layer in done.layers:
        old, new = module.get_parameter(f"{layer.layer}.weight"), done.state[f"{layer.layer}.weight"]
        assert float(new.std(correction=0)) == pytest.approx(math.sqrt(2 / fans[layer.layer]), rel=1e-5)
        stds = [float(weight.std(correction=0)) for weight in (old, new)]
        assert [layer.before, layer.after] == pytest.approx(stds, rel=1e-5)
        assert torch.allclose(new / old, torch.tensor(layer.after / layer.before))
    assert set(done.state) == {f"{name}.weight" for name in fans}


def test_the_fan_of_a_dense_convolution_is_torchs_fan_out() -> None:
    layer = nn.Conv2d(64, 128, 3, bias=False)
    torch.manual_seed(0)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    assert he_std(layer) == pytest.approx(float(layer.weight.std()), rel=0.01)


def test_what_no_source_feeds_is_left_and_said() -> None:
    module = norm_net()
    with torch.no_grad():
        module.get_parameter("9.weight").fill_(0.5)
    plan = plan_of(module, {"0.weight": "keep", "3.weight": "constant", "6.weight": "dirac"})
    done = rescale(module, plan, graph_of_module(module))
    assert done.state == {}
    assert [layer.note for layer in done.layers] == [
        "made by hand",
        "left: set to a constant",
        "left: passes on what it reads",
        "left: all its values are the same",
    ]
    assert all(layer.before is None and layer.after is None for layer in done.layers)

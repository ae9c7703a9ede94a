from __future__ import annotations

import pytest
from torch import nn
from torchvision.models import get_model

from tlvcli.methods.finetuning.full import full


@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "swin_t"])
def test_every_parameter_is_in_one_group(name: str) -> None:
    module = get_model(name, num_classes=3)
    plan = full(module)
    assert plan.strategy == "full"
    named = [parameter for group in plan.groups for parameter in group.parameters]
    assert sorted(named) == sorted(name for name, _ in module.named_parameters())


def test_biases_and_normalisation_do_not_decay() -> None:
    module = get_model("swin_t", num_classes=3)
    decays = {parameter: group.decays for group in full(module).groups for parameter in group.parameters}
    kinds = dict(module.named_modules())
    for name, does in decays.items():
        owner, _, leaf = name.rpartition(".")
        if "bias" in leaf or isinstance(kinds[owner], nn.LayerNorm):
            assert not does, name
        else:
            assert does, name


def test_a_fresh_head_learns_faster() -> None:
    module = get_model("squeezenet1_1", num_classes=3)
    fresh = {"classifier.1.weight", "classifier.1.bias"}
    plan = full(module, fresh=fresh, fresh_rate=10)
    rates = {parameter: group.rate for group in plan.groups for parameter in group.parameters}
    assert {parameter for parameter, rate in rates.items() if rate == 10} == fresh
    assert set(rates.values()) == {1.0, 10}
    assert len(plan.groups) == 4


def test_a_network_without_biases_has_one_group() -> None:
    plan = full(nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.Conv2d(4, 4, 1, bias=False)))
    assert [(group.parameters, group.decays) for group in plan.groups] == [(("0.weight", "1.weight"), True)]

"""L2-SP by a second formula, in numpy with double precision."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.l2_sp import hold_to_start, penalty, starting_points
from tlvcli.methods.finetuning.plan import FinetunePlan, ParameterGroup, Phase


def _plan() -> FinetunePlan:
    weights = ParameterGroup("high", ("0.weight", "2.weight"))
    biases = ParameterGroup("high", ("0.bias", "1.weight", "1.bias", "2.bias"), decays=False)
    return FinetunePlan("non-binary", (Phase((weights, biases)),))


def _module() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.Linear(5, 3))


def test_no_group_decays_and_only_known_weights_are_held() -> None:
    plan = hold_to_start(_plan(), (0.2,), new={"2.weight", "2.bias"})
    groups = {group.parameters: (group.decays, group.l2_sp, group.l2) for group in plan.phases[0].groups}
    assert groups == {
        ("0.weight",): (False, 0.2, 0.0),
        ("2.weight",): (False, 0.0, 0.2),
        ("0.bias", "1.weight", "1.bias", "2.bias"): (False, 0.0, 0.0),
    }
    assert list(starting_points(plan, dict(_module().named_parameters()))) == ["0.weight"]


def test_value_and_gradient() -> None:
    plan, module = hold_to_start(_plan(), (0.3,), new={"2.weight"}), _module()
    parameters = dict(module.named_parameters())
    start = starting_points(plan, parameters)
    first = {name: parameter.detach().double().numpy().copy() for name, parameter in parameters.items()}
    for parameter in parameters.values():
        parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)))
    now = {name: parameter.detach().double().numpy() for name, parameter in parameters.items()}
    moved = now["0.weight"] - first["0.weight"]
    expected = 0.15 * np.einsum("ij,ij", moved, moved) + 0.15 * np.linalg.norm(now["2.weight"]) ** 2
    with torch.enable_grad():
        value = penalty(plan.phases[0], parameters, start)
        assert value is not None
        value.backward()
    assert float(value.detach()) == pytest.approx(expected, rel=1e-6)
    np.testing.assert_allclose(parameters["0.weight"].grad, 0.3 * moved, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(parameters["2.weight"].grad, 0.3 * now["2.weight"], rtol=1e-5)
    assert parameters["0.bias"].grad is None


def test_sums_do_not_overflow_under_autocast() -> None:
    plan, module = hold_to_start(_plan(), (2.0,), new=set()), _module()
    start = starting_points(plan, dict(module.named_parameters()))
    module[0].weight.add_(300.0)
    value = penalty(plan.phases[0], dict(module.named_parameters()), start)
    assert value is not None
    assert value.dtype == torch.float32
    assert float(value) == pytest.approx(30 * 300.0**2, rel=1e-6)


def test_nothing_held_costs_nothing() -> None:
    assert penalty(_plan().phases[0], dict(_module().named_parameters()), {}) is None


def test_three_weights_need_three_parts() -> None:
    plan = FinetunePlan("full", (Phase((ParameterGroup("all", ("0.weight",)),)),))
    with pytest.raises(TlvError, match="head, high and low layers, which full does not tell apart"):
        hold_to_start(plan, (1.0, 2.0, 3.0), new=set())
    held = hold_to_start(_plan(), (1.0, 2.0, 3.0), new=set())
    assert held.phases[0].groups[0].l2_sp == 2.0

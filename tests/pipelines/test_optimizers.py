"""Optimisers against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tlvcli.methods.finetuning.plan import ParameterGroup, Phase
from tlvcli.pipelines.training.optimizers import OptimizerName, make_optimizer

PHASE = Phase((ParameterGroup("all", ("weight",)), ParameterGroup("all", ("bias",), rate=0.5, decays=False)))


def _after_steps(name: OptimizerName, steps: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight and bias, both 1 at the start, after steps of rate 0.1 with a gradient of 0.5 each."""
    module = nn.Linear(1, 1)
    nn.init.ones_(module.weight)
    nn.init.ones_(module.bias)
    optimizer = make_optimizer(module, PHASE, name=name, weight_decay=0.2)
    for _ in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * group["rate"]
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, 0.5)
        optimizer.step()
    return module.weight.detach().squeeze(), module.bias.detach().squeeze()


def test_sgd_is_nesterovs() -> None:
    expected, velocity = 1.0, 0.0
    for _ in range(3):
        gradient = 0.5 + 0.2 * expected
        velocity = 0.9 * velocity + gradient
        expected -= 0.1 * (gradient + 0.9 * velocity)
    weight, bias = _after_steps("sgd", 3)
    assert float(weight) == pytest.approx(expected, rel=1e-6)
    # Without decay the velocities are 0.5, 0.95 and 1.355; the rate is half of the run's.
    assert float(bias) == pytest.approx(1 - 0.05 * (3 * 0.5 + 0.9 * (0.5 + 0.95 + 1.355)), rel=1e-6)


def test_adam_decays_in_the_gradient_and_adamw_apart_from_it() -> None:
    # The first step of Adam has the length of the rate, whatever the gradient.
    weight, bias = _after_steps("adam", 1)
    assert (float(weight), float(bias)) == (pytest.approx(0.9), pytest.approx(0.95))
    weight, bias = _after_steps("adamw", 1)
    assert (float(weight), float(bias)) == (pytest.approx(1 - 0.1 * 0.2 - 0.1), pytest.approx(0.95))

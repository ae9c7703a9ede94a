"""Optimisers and schedules against their formulas."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from tlvcli.methods.finetuning.plan import ParameterGroup, Phase
from tlvcli.pipelines.optimizers import OptimizerName, make_optimizer
from tlvcli.pipelines.schedules import Schedule

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


def test_cosine() -> None:
    schedule = Schedule(peak=1.0, warmup_steps=4, total_steps=12)
    rates = [schedule.learning_rate(step) for step in range(12)]
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[8] == pytest.approx(0.5)
    assert rates[11] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert Schedule(2.0, 0, 1).learning_rate(0) == 2.0


def test_steps() -> None:
    schedule = Schedule(0.03, 3, 100, "step", decay_steps=10, decay_rate=0.9)
    assert [schedule.learning_rate(step) for step in (0, 1, 2)] == pytest.approx([0.01, 0.02, 0.03])
    for step in range(3, 100):
        assert schedule.learning_rate(step) == pytest.approx(0.03 * 0.9 ** (step // 10))


def test_constant() -> None:
    schedule = Schedule(0.5, 2, 10, "constant")
    assert [schedule.learning_rate(step) for step in range(10)] == [0.25] + [0.5] * 9

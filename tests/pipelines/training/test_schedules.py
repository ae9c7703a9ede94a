"""Schedules against their formulas, and against torch's own schedulers."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from tlvcli.pipelines.training.schedules import Schedule, default_milestones, make_schedule


def _torch_rates(scheduler: Any, steps: int, **options: Any) -> list[float]:
    """Return what a scheduler of torch gives an optimiser of rate 0.3 in so many steps."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule, rates = scheduler(optimizer, **options), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    return rates


def _rates(schedule: Schedule) -> list[float]:
    return [schedule.learning_rate(step) for step in range(schedule.total_steps)]


def test_cosine() -> None:
    schedule = Schedule(peak=1.0, warmup_steps=4, total_steps=12)
    rates = _rates(schedule)
    assert rates[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert rates[8] == pytest.approx(0.5)
    assert rates[11] == pytest.approx(0.5 * (1 + math.cos(math.pi * 7 / 8)))
    assert Schedule(2.0, 0, 1).learning_rate(0) == 2.0


def test_steps() -> None:
    rates = _rates(Schedule(0.03, 3, 100, "step", decay_steps=10, decay_rate=0.9))
    assert rates[:3] == pytest.approx([0.01, 0.02, 0.03])
    assert rates[3:] == pytest.approx([0.03 * 0.9 ** (step // 10) for step in range(3, 100)])


def test_constant() -> None:
    assert _rates(Schedule(0.5, 2, 10, "constant")) == [0.25] + [0.5] * 9


def test_milestones() -> None:
    rates = _rates(Schedule(1.0, 2, 10, "multistep", decay_rate=0.1, milestones=(4.5, 8.0)))
    assert rates == pytest.approx([0.5, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.01, 0.01])


def test_one_cycle_peaks_at_the_end_of_its_warm_up() -> None:
    rates = _rates(Schedule(2.0, 5, 21, "one-cycle"))
    assert (rates[0], rates[4], rates[20]) == pytest.approx((2 / 25, 2.0, 2 / 25e4))
    # Half way up, and half way down, a half cosine is at the mean of its ends.
    assert (rates[2], rates[12]) == pytest.approx(((2 + 2 / 25) / 2, (2 + 2 / 25e4) / 2))
    assert max(rates) == rates[4]


@pytest.mark.parametrize("warmup_steps", [0, 1])
def test_a_one_cycle_without_a_rise_begins_at_its_peak(warmup_steps: int) -> None:
    rates = _rates(Schedule(1.0, warmup_steps, 11, "one-cycle"))
    assert (rates[0], rates[10]) == pytest.approx((1.0, 1 / 25e4))
    assert sorted(rates, reverse=True) == rates


@pytest.mark.parametrize(
    ("schedule", "scheduler", "options"),
    [
        (Schedule(0.3, 0, 20, "cosine"), lr_scheduler.CosineAnnealingLR, {"T_max": 20}),
        (Schedule(0.3, 0, 20, "step", 6, 0.4), lr_scheduler.StepLR, {"step_size": 6, "gamma": 0.4}),
        (
            Schedule(0.3, 0, 20, "multistep", decay_rate=0.2, milestones=(7, 15)),
            lr_scheduler.MultiStepLR,
            {"milestones": [7, 15], "gamma": 0.2},
        ),
        (
            Schedule(0.3, 6, 20, "one-cycle"),
            lr_scheduler.OneCycleLR,
            {"max_lr": 0.3, "total_steps": 20, "pct_start": 0.3, "cycle_momentum": False},
        ),
    ],
    ids=lambda value: value.kind if isinstance(value, Schedule) else None,
)
def test_torch_computes_the_same(schedule: Schedule, scheduler: Any, options: dict[str, Any]) -> None:
    assert _rates(schedule) == pytest.approx(_torch_rates(scheduler, 20, **options), rel=1e-9)


def test_epochs_become_steps() -> None:
    stepped = make_schedule(
        "step", peak=0.1, epochs=10, steps_per_epoch=4, warmup_epochs=0.5, decay_epochs=2.5, decay_rate=0.3
    )
    assert stepped == Schedule(0.1, 2, 40, "step", decay_steps=10, decay_rate=0.3)
    given = make_schedule(
        "multistep", peak=1, epochs=10, steps_per_epoch=4, warmup_epochs=0, decay_rate=0.5, milestones=(3, 7.5)
    )
    assert given == Schedule(1, 0, 40, "multistep", decay_rate=0.5, milestones=(12, 30))


def test_what_nobody_says_follows_from_the_length_of_the_phase() -> None:
    assert make_schedule("one-cycle", peak=1, epochs=20, steps_per_epoch=5).warmup_steps == 30
    assert make_schedule("cosine", peak=1, epochs=20, steps_per_epoch=5).warmup_steps == 2
    assert make_schedule("multistep", peak=1, epochs=7, steps_per_epoch=10, decay_rate=0.1).milestones == (42, 56)
    # Whole epochs are whole: a little more than 21, and the decay would come a step late.
    assert all(default_milestones(5 * k) == (3 * k, 4 * k) for k in range(1, 200))

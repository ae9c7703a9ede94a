"""Settings of `tlv train`: what is decided where nobody says, and what contradicts itself."""

from __future__ import annotations

from typing import Any

import pytest

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.table import find_strategy
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.resolve import resolve

FILES = {"checkpoint": "net.pt", "data": "photos", "out": "run"}


def _resolved(**given: Any) -> TrainConfig:
    config = parse_config(TrainConfig, {**FILES, **given})
    return resolve(config, find_strategy(config.strategy))[0]


@pytest.mark.parametrize(
    ("given", "decided"),
    [
        ({}, {"lr": 3e-4, "weight_decay": 0.05, "warmup_epochs": 0.5, "head_rate": 10.0}),
        ({"optimizer": "sgd"}, {"lr": 3e-4 * 10, "weight_decay": 5e-4}),
        ({"schedule": "step"}, {"decay_epochs": 30.0, "decay_rate": 0.1, "milestones": None}),
        ({"schedule": "multistep"}, {"decay_epochs": None, "decay_rate": 0.1, "milestones": (6.0, 8.0)}),
        ({"schedule": "one-cycle"}, {"warmup_epochs": 3.0, "decay_rate": None}),
        # Shares of a phase's epochs are no one number where there are two phases.
        ({"schedule": "one-cycle", "strategy": "lp-ft"}, {"warmup_epochs": None, "probe_epochs": 3}),
        ({"schedule": "multistep", "strategy": "lp-ft"}, {"warmup_epochs": 0.5, "milestones": None}),
        ({"l2sp": 0.1}, {"regularizer": "l2-sp", "weight_decay": 0.0}),
        ({"regularizer": "l2-sp"}, {"l2sp": 0.01, "weight_decay": 0.0}),
        ({"crossover": "source.pt"}, {"crossover_p": 0.1}),
    ],
)
def test_what_is_decided_where_nobody_says(given: dict[str, Any], decided: dict[str, Any]) -> None:
    config = _resolved(**given)
    assert {key: getattr(config, key) for key in decided} == decided


@pytest.mark.parametrize(
    ("written", "milestones"), [("3,6", (3.0, 6.0)), ([3, 6], (3.0, 6.0)), (4, (4.0,)), ("2.5", (2.5,))]
)
def test_milestones_are_read_as_they_are_written(written: Any, milestones: tuple[float, ...]) -> None:
    assert _resolved(schedule="multistep", milestones=written).milestones == milestones


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"lr": -1}, "lr: must not be negative"),
        ({"lr": "0,0,0", "strategy": "non-binary", "num_lowlrs": 1}, "trains nothing"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"strategy": "two-rate", "backbone_lr_scale": -1}, "backbone_lr_scale"),
        ({"warmup_epochs": 10}, "leaves nothing of 10 epochs"),
        ({"milestones": "3"}, "belongs to schedule multistep, not cosine"),
        ({"schedule": "multistep", "milestones": "6,3"}, "6,3 do not climb"),
        ({"schedule": "multistep", "milestones": "3,10"}, "below 10, the epochs"),
        ({"schedule": "multistep", "milestones": "0,5"}, "from above 0"),
        ({"schedule": "multistep", "milestones": "3,x"}, "milestones.1"),
        ({"decay_rate": 0.5, "schedule": "one-cycle"}, "step or multistep, not one-cycle"),
        ({"mask_scale": 0.1}, "no mask to scale"),
        ({"crossover_p": 0.1}, "no crossover source"),
        ({"balanced": True, "shuffle": False}, "draws at random"),
        ({"balanced": True, "class_weights": "balanced"}, "evened out"),
        ({"l2sp": 0.1, "weight_decay": 0.1}, "l2-sp takes its place"),
        ({"ema": 1.0}, "ema"),
        ({"accumulate": 0}, "accumulate"),
        ({"mixup": -0.2}, "mixup"),
    ],
)
def test_contradictions_are_named(given: dict[str, Any], said: str) -> None:
    with pytest.raises(TlvError) as refused:
        _resolved(**given)
    assert refused.value.error_id == "config-invalid"
    assert said in refused.value.message


def test_a_misspelt_augmentation_is_found_before_any_data() -> None:
    with pytest.raises(TlvError) as refused:
        _resolved(augment="randaugmnt")
    assert refused.value.error_id == "augmentation-unknown"
    assert "did you mean randaugment?" in refused.value.hint

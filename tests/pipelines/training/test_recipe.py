"""Recipes: what each says, how a user's settings go over it, and what falls away then."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.io.config_files import read_settings
from tlvcli.methods.finetuning.table import find_strategy
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.recipe import RECIPES, recipe_path
from tlvcli.pipelines.training.resolve import resolve

FILES = {"checkpoint": "net.pt", "data": "photos", "out": "run"}


def _resolved(**given: Any) -> TrainConfig:
    config = parse_config(TrainConfig, {**FILES, **given})
    return resolve(config, find_strategy(config.strategy))[0]


def _differing(config: TrainConfig, **given: Any) -> dict[str, Any]:
    """Return in which settings `config` is not the recipe's, as `given` alone has it."""
    plain = _resolved(**given)
    return {key: value for key, value in config.model_dump().items() if getattr(plain, key) != value}


def _values(settings: Mapping[str, Any], *keys: str) -> tuple[Any, ...]:
    return tuple(settings[key] for key in keys)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_value_of_a_recipe_takes_effect(recipe: str) -> None:
    files = {"crossover": "source.pt"} if recipe == "tlv" else {"mask": "mask.safetensors"}
    config = _resolved(recipe=recipe, **files)
    settings = read_settings(recipe_path(recipe))
    of_others = {"backbone_lr_scale"} if recipe == "three-ways" else {"head_rate"} if recipe == "non-binary" else set()
    assert {key for key, value in settings.items() if getattr(config, key) != value} == of_others
    assert len(settings) >= 11


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_report_repeats_its_run(recipe: str) -> None:
    config = _resolved(recipe=recipe, epochs=2, schedule="cosine", optimizer="adamw")
    again = parse_config(TrainConfig, config.model_dump(mode="json"))
    assert resolve(again, find_strategy(again.strategy))[0] == config


def test_the_numbers_of_the_papers() -> None:
    tlv = _resolved(recipe="tlv").model_dump()
    assert _values(tlv, "optimizer", "lr", "weight_decay", "batch_size", "epochs") == ("adamw", 1e-4, 5e-4, 128, 200)
    ways = _resolved(recipe="three-ways").model_dump()
    assert _values(ways, "optimizer", "lr", "weight_decay", "batch_size", "epochs") == ("sgd", 1e-3, 5e-4, 64, 3)
    layers = _resolved(recipe="non-binary").model_dump()
    assert _values(layers, "lr", "epochs", "decay_epochs", "decay_rate", "mixup") == (0.03, 800, 10, 0.9, 0.2)
    assert _values(layers, "augment", "erasing", "num_lowlrs") == ("rand-m9-mstd0.5-inc1", 0.5, 8)
    mask = _resolved(recipe="statistics-mask", mask="mask.safetensors").model_dump()
    assert _values(mask, "mask_scale", "shuffle", "lr", "batch_size") == (0.001, False, 0.001, 16)


def test_what_a_user_says_goes_over_the_recipe() -> None:
    differing = _differing(_resolved(recipe="tlv", lr=0.01, epochs=5), recipe="tlv")
    assert differing == {"lr": 0.01, "epochs": 5}
    # Dashes are as good, and null takes a value of the recipe away.
    assert _differing(_resolved(**{"recipe": "non-binary", "decay-rate": 0.5}), recipe="non-binary") == {
        "decay_rate": 0.5
    }
    assert _resolved(recipe="statistics-mask", patience=None).patience is None


@pytest.mark.parametrize(
    ("recipe", "given", "falls_away"),
    [
        ("non-binary", {"schedule": "cosine"}, {"decay_epochs": None, "decay_rate": None}),
        ("non-binary", {"schedule": "multistep"}, {"decay_epochs": None, "decay_rate": 0.1, "milestones": (480, 640)}),
        (
            "non-binary",
            {"schedule": "one-cycle"},
            {"decay_epochs": None, "decay_rate": None, "warmup_epochs": 240},
        ),
        (
            "non-binary",
            {"strategy": "full"},
            {"new_layers": 0, "num_lowlrs": None, "head_rate": 1, "l2sp": 0.01},
        ),
        ("non-binary", {"optimizer": "adamw"}, {"lr": 0.003}),
        ("non-binary", {"regularizer": None}, {"l2sp": None, "weight_decay": 5e-4}),
        ("non-binary", {"epochs": 3}, {"warmup_epochs": 0.5}),
        ("non-binary", {"epochs": 4}, {}),
        ("three-ways", {"strategy": "two-rate"}, {"head_rate": None, "backbone_lr_scale": 0.1}),
        ("three-ways", {"strategy": "linear-probe"}, {"head_rate": None, "new_layers": None}),
        ("three-ways", {"l2sp": 0.1}, {"weight_decay": 0, "regularizer": "l2-sp"}),
        ("three-ways", {"optimizer": "adamw"}, {"lr": 3e-4, "weight_decay": 0.05}),
        ("statistics-mask", {"balanced": True}, {"shuffle": True}),
    ],
)
def test_what_belongs_to_a_replaced_choice_falls_away_with_it(
    recipe: str, given: dict[str, Any], falls_away: dict[str, Any]
) -> None:
    assert _differing(_resolved(recipe=recipe, **given), recipe=recipe) == {**given, **falls_away}


def test_what_needs_a_file_waits_for_it() -> None:
    assert (_resolved(recipe="statistics-mask").mask_scale, _resolved(recipe="tlv").crossover_p) == (None, None)
    assert _resolved(recipe="tlv", crossover="source.pt").crossover_p == 0.1


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"recipe": "tvl"}, "recipe-unknown", "did you mean tlv?"),
        ({"recipe": "non-binary", "probe_epochs": 2}, "option-not-taken", "strategy non-binary does not take"),
        ({"recipe": "tlv", "decay_rate": 0.5}, "config-invalid", "not constant"),
        ({"recipe": "tlv", "epohs": 2}, "config-invalid", "did you mean epochs?"),
    ],
)
def test_contradictions_between_a_recipe_and_a_user_are_named(given: dict[str, Any], error: str, said: str) -> None:
    with pytest.raises(TlvError) as refused:
        _resolved(**given)
    assert refused.value.error_id == error
    assert said in f"{refused.value.message} {refused.value.hint}"

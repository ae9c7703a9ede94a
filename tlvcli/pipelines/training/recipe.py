"""Recipes: the settings of published trainings, which lie under those that a user gives."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.io.config_files import read_settings
from tlvcli.methods.finetuning.table import STRATEGIES

RecipeName = Literal["tlv", "three-ways", "non-binary", "statistics-mask"]
RECIPES: tuple[RecipeName, ...] = get_args(RecipeName)

_FOLDER = Path(__file__).with_name("recipes")


def recipe_path(name: str) -> Path:
    """Return the YAML file of a recipe, whose comments say where each number comes from.

    Raises:
        TlvError: `recipe-unknown`.
    """
    if name not in RECIPES:
        raise TlvError("recipe-unknown", f"no recipe is called {name}", did_you_mean(name, RECIPES))
    return _FOLDER / f"{name}.yaml"


def with_recipe(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings with those of the recipe that they name, where they say nothing themselves.

    Of the recipe, what belongs to a choice that was replaced falls away with it: the step length of its schedule under
    another schedule, the options of its strategy under another strategy. So does what needs a file that is not given.

    Raises:
        TlvError: `recipe-unknown`.
    """
    if given.get("recipe") is None:
        return dict(given)
    recipe = read_settings(recipe_path(str(given["recipe"])))
    settings = {**recipe, **given}
    replaced = {key: value for key, value in recipe.items() if settings[key] != value}
    return {key: value for key, value in settings.items() if key in given or not _falls_away(key, settings, replaced)}


def _falls_away(key: str, settings: Mapping[str, Any], replaced: Mapping[str, Any]) -> bool:
    """Return whether the recipe's value of `key` says nothing once these choices of it are `replaced`."""
    match key:
        case "lr":
            return "optimizer" in replaced
        case "weight_decay":
            return "optimizer" in replaced or not {"regularizer", "l2sp"}.isdisjoint(_set(settings))
        case "decay_epochs" | "decay_rate" | "milestones":
            return "schedule" in replaced
        case "warmup_epochs":
            # Whoever cuts an 800-epoch recipe down to two wants to see it run, not to be told of its warm-up.
            is_cut = "epochs" in replaced and bool(settings[key] >= settings["epochs"])
            return is_cut or settings["schedule"] == "one-cycle"
        case "l2sp":
            return "strategy" in replaced or "regularizer" not in _set(settings)
        case "mask_scale":
            return "mask" not in _set(settings)
        case "crossover_p":
            return "crossover" not in _set(settings)
        case "shuffle":
            return bool(settings.get("balanced"))
    if "strategy" in replaced and key in _strategy_keys(replaced["strategy"]):
        return True
    return key in _strategy_keys() and key not in _strategy_keys(settings["strategy"])


def _set(settings: Mapping[str, Any]) -> set[str]:
    return {key for key, value in settings.items() if value is not None}


def _strategy_keys(strategy: str | None = None) -> set[str]:
    """Return the options that the strategy takes; without one, those that any does."""
    entries = [entry for entry in STRATEGIES if strategy in (None, entry.name)]
    return {key for entry in entries for key in entry.load_options().model_fields}

"""A cell as the commands that it is: the settings of its transfer, its training and its test."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.folder import CellFolder
from tlvcli.pipelines.comparing.grid import Cell
from tlvcli.pipelines.comparing.starts import STEPS

Settings = dict[str, Any]


@dataclass(frozen=True)
class CellSettings:
    """What each command of a cell is given; `transfer` is None without a target, `test` without a test split.

    What is not in them is as the command has it by default.
    """

    transfer: Settings | None
    train: Settings
    test: Settings | None

    def to_json(self) -> str:
        """Return what tells whether a cell on disk is this one."""
        return json.dumps({"transfer": self.transfer, "train": self.train, "test": self.test}, indent=1) + "\n"


def cell_settings(
    config: CompareConfig, cell: Cell, folder: CellFolder, *, num_classes: int, test_data: str | None
) -> CellSettings:
    """Return the settings of one cell; the target has the `num_classes` of the data unless it is told otherwise."""
    searched: dict[str, Settings] = {"transfer": {}, "train": {}}
    for key, value in cell.point.settings:
        command, _, name = key.partition(".")
        searched[command][name] = value
    variant, offline = cell.variant, {"offline": True} if config.offline else {}
    images = _given(data_seed=config.data_seed or None, device=None if config.device == "auto" else config.device)
    transfer = None
    if variant.start is not None:
        started = variant.start.settings(config.data)
        further = _nest(_join(started, config.transfer), searched["transfer"])
        looks = further.keys() & {step for step, looks_at_images in STEPS.items() if looks_at_images}
        transfer = {
            "source": variant.source,
            "target_arch": config.target_arch,
            "out": str(folder.start_path),
            "method": started["method"],
            "num_classes": num_classes,
            **_given(source_arch=config.source_arch, image_size=config.image_size if looks else None),
            **further,
            "seed": cell.seed,
            **(images if looks else {}),
            **offline,
        }
    train = {
        "checkpoint": str(folder.start_path) if transfer else variant.source,
        "data": config.data,
        "out": str(folder.run_path),
        "strategy": variant.strategy,
        **_given(arch=None if transfer else config.source_arch),
        **shared_training(config),
        **searched["train"],
        "seed": cell.seed,
        **images,
        **offline,
    }
    test = None
    if test_data is not None:
        test = {"checkpoint": str(folder.best_path), "data": test_data, **images, **offline}
    return CellSettings(transfer, train, test)


def shared_training(config: CompareConfig) -> Settings:
    """Return the settings that all trainings have in common."""
    shared = ("recipe", "epochs", "batch_size", "lr", "image_size")
    further = {key.replace("-", "_"): value for key, value in config.train.items()}
    return {**_given(**{key: getattr(config, key) for key in shared}), **further}


def _given(**values: Any) -> Settings:
    return {key: value for key, value in values.items() if value is not None}


def _join(started: Settings, fixed: Mapping[str, Any]) -> Settings:
    """Return both; settings of a step that the start has, too, are added to it, and its images may be others."""
    joined = {**started}
    for key, value in fixed.items():
        whole = joined.get(key)
        given = {"data": value} if isinstance(value, str) else value
        joined[key] = {**whole, **given} if isinstance(whole, dict) and isinstance(given, Mapping) else value
    return joined


def _nest(fixed: Mapping[str, Any], searched: Mapping[str, Any]) -> Settings:
    """Return the settings with those under dotted keys put into their places."""
    settings: Settings = {key.replace("-", "_"): value for key, value in fixed.items()}
    for key, value in searched.items():
        family, dot, choice = key.partition(".")
        if dot:
            whole = settings.get(family, {})
            settings[family] = {**({"data": whole} if isinstance(whole, str) else whole), choice: value}
        else:
            settings[key] = value
    return settings

"""A cell's commands, read by the real command line, have the cell's settings."""

from __future__ import annotations

import shlex
from functools import lru_cache
from typing import Any

import pytest
import typer

from tlvcli.cli.app import app
from tlvcli.cli.running import read_config
from tlvcli.core.config import parse_config
from tlvcli.pipelines.comparing.commands import command_line
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.origin import compare_command
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.transferring.config import TransferConfig

TRAIN = {"checkpoint": "a b.pth", "data": "digits", "out": "run"}
# Values other than the default; some need others beside them.
VALUES: dict[str, dict[str, Any]] = {
    "recipe": {"recipe": "tlv"},
    "lr": {"lr": "0.1,0.01,0.001", "strategy": "non-binary", "num_lowlrs": 2},
    "decay_epochs": {"decay_epochs": 2.5, "schedule": "step"},
    "decay_rate": {"decay_rate": 0.3, "schedule": "step"},
    "milestones": {"milestones": (3.0, 6.0), "schedule": "multistep"},
    "crossover": {"crossover": "b.pth"},
    "crossover_p": {"crossover": "b.pth", "crossover_p": 0.2},
    "mask_scale": {"mask": "m.safetensors", "mask_scale": 0.5},
    "optimizer": {"optimizer": "sgd"},
    "schedule": {"schedule": "constant"},
    "strategy": {"strategy": "lp-ft"},
    "augment": {"augment": "rand-m9-inc1"},
    "erasing_mode": {"erasing_mode": "constant"},
    "best_by": {"best_by": "loss"},
    "precision": {"precision": "fp32"},
    "class_weights": {"class_weights": "balanced"},
    "regularizer": {"regularizer": "l2-sp"},
    "head": {"head": "linear"},
    "ema": {"ema": 0.9},
    "l2sp": {"l2sp": 0.1},
}


@lru_cache
def _group() -> Any:
    return typer.main.get_command(app)


def _read(line: str, model: type[Any]) -> dict[str, Any]:
    """Return the settings that the command line reads."""
    _, command, *arguments = shlex.split(line)
    context = _group().commands[command].make_context(command, arguments)
    settings: dict[str, Any] = read_config(context, model).model_dump()
    return settings


def _settings_of(key: str) -> dict[str, Any]:
    field = TrainConfig.model_fields[key]
    if key in VALUES:
        return VALUES[key]
    if isinstance(field.default, bool):
        return {key: not field.default}
    whole = "int" in str(field.annotation)
    return {key: "word"} if "str" in str(field.annotation) else {key: 17 if whole else 0.25}


@pytest.mark.parametrize("key", [key for key in TrainConfig.model_fields if key not in TRAIN])
def test_every_setting_of_train_is_read_back(key: str) -> None:
    settings = {**TRAIN, "epochs": 20, **_settings_of(key)}
    wanted = parse_config(TrainConfig, settings)
    assert getattr(wanted, key) != TrainConfig.model_fields[key].default
    assert _read(command_line("train", settings), TrainConfig) == wanted.model_dump()


@pytest.mark.parametrize(
    "key", [key for key, field in TrainConfig.model_fields.items() if isinstance(field.default, bool)]
)
def test_a_switch_that_is_set_to_its_default_is_read_back(key: str) -> None:
    default = TrainConfig.model_fields[key].default
    assert _read(command_line("train", {**TRAIN, key: default}), TrainConfig)[key] is default


def test_the_settings_of_transfer_are_read_back() -> None:
    settings = {
        "source": "vgg 16.pth",
        "target_arch": "net.py:make",
        "out": "start.safetensors",
        "method": "tlv",
        "num_classes": 10,
        "only": ["layer1*", "fc"],
        "mapping": {"keep": "random", "linear_statistics": "off"},
        "matching": {"method": "dp"},
        "fit": {"data": "my photos@train", "ridge": 0.1},
        "calibrate": {"data": "digits@train:200"},
        "dtype": "float16",
        "allow_nan": True,
        "seed": 3,
    }
    wanted = parse_config(TransferConfig, settings).model_dump()
    assert _read(command_line("transfer", settings), TransferConfig) == wanted


def test_the_command_of_a_page_is_read_back() -> None:
    config = CompareConfig(
        source=["a.pth", "b c.pth"],
        target_arch="resnet18",
        data="digits",
        out="cmp",
        methods="he,tlv",
        strategies="full,two-rate",
        grid={"lr": [0.1, 0.01], "milestones": ["3,6", "4,8"], "balanced": [True, False]},
        epochs=9,
        download=True,
        train={"schedule": "multistep"},
        transfer={"mapping": {"keep": "random"}},
    )
    assert _read(compare_command(config), CompareConfig) == config.model_dump()

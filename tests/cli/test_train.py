"""`tlv train` as a user sees it: the table of a dry run, its JSON, and errors with a hint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer

from tlvcli.cli.app import app
from tlvcli.cli.main import run
from tlvcli.cli.train_options import complete_strategy
from tlvcli.methods.finetuning.table import STRATEGIES
from tlvcli.pipelines.train_config import TrainConfig

NETWORK = """
from torch import nn

def make(num_classes, in_chans=3):
    return nn.Sequential(nn.Conv2d(in_chans, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    network = f"{tmp_path}/net.py:make@random"
    return ["train", network, "--data", "digits@train:40", "--out", str(tmp_path / "run"), "--device", "cpu"]


def test_a_dry_run_draws_every_parameter(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--strategy", "two-rate", "--lr", "0.01", "--weight-decay", "0.1", "--precision", "fp32"]
    assert run([*arguments, *settings, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[:5]] == [
        ["parameter", "shape", "group", "rate", "decay"],
        ["0.weight", "4x3x3x3", "backbone", "0.001", "0.1"],
        ["0.bias", "4", "backbone", "0.001", "-"],
        ["3.weight", "10x4", "head", "0.01", "0.1"],
        ["3.bias", "10", "head", "0.01", "-"],
    ]
    assert "two-rate: 162 parameters trained, cpu, fp32" in lines[-2]
    assert lines[-1] == "dry run: nothing written"
    assert not (tmp_path / "run").exists()


def test_phases_and_l2_sp_have_columns_where_they_say_something(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--dry-run", "--strategy", "lp-ft", "--regularizer", "l2-sp", "--lr", "0.01"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["parameter", "shape", "phase", "group", "rate", "decay", "l2-sp"]
    assert lines[1] == ["0.weight", "4x3x3x3", "1", "frozen", "-", "-", "-"]
    assert lines[5] == ["0.weight", "4x3x3x3", "2", "all", "0.001", "-", "0.01"]


def test_json_has_the_plan(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--strategy", "non-binary", "--num-lowlrs", "1", "--lr", "0.03,0.02,0.01", "--l2sp", "0.3,0.2,0.1"]
    assert run([*arguments, *flags, "--dry-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    rows = {row["name"]: row for row in report["result"]["parameters"]}
    assert (rows["0.weight"]["group"], rows["0.weight"]["lr"], rows["0.weight"]["l2_sp"]) == ("low", 0.01, 0.1)
    # The classifier starts afresh: it is drawn to zero, not to noise.
    assert (rows["3.weight"]["lr"], rows["3.weight"]["l2_sp"], rows["3.weight"]["l2"]) == (0.03, 0.0, 0.3)
    assert (report["config"]["lr"], report["outputs"]) == ("0.03,0.02,0.01", [])


@pytest.mark.parametrize(
    ("flags", "error", "hint"),
    [
        (["--strategy", "lpft"], "strategy-unknown", "did you mean lp-ft?"),
        (["--probe-epochs", "2"], "option-not-taken", "--strategy lp-ft"),
        (["--lr", "-1"], "config-invalid", "docs/config.md"),
        (["--strategy", "non-binary", "--new-layers", "3"], "layers-too-many", "0 to 2"),
        (["--mask", "nowhere.safetensors"], "checkpoint-missing", ""),
    ],
)
def test_errors(
    arguments: list[str], capsys: pytest.CaptureFixture[str], flags: list[str], error: str, hint: str
) -> None:
    assert run([*arguments, *flags]) == 2
    said = capsys.readouterr().err
    assert f"error[{error}]" in said
    assert hint in said


def test_defaults_that_are_told_are_those_of_the_strategies() -> None:
    group: Any = typer.main.get_command(app)
    shown = {parameter.name: parameter.show_default for parameter in group.commands["train"].params}
    options = [strategy.load_options().model_fields.items() for strategy in STRATEGIES]
    told = {name: f"{field.default:g}" for fields in options for name, field in fields if field.default is not None}
    assert len(told) == 6
    for name, default in told.items():
        assert f"default: {default}" in str(TrainConfig.model_fields[name].description), name
        assert name not in shown or shown[name] == f"{default} with it", name


def test_strategies_are_completed() -> None:
    assert complete_strategy("l") == ["linear-probe", "lp-ft", "layer-decay"]

"""`tlv train` as a user sees it: the table of a dry run, its JSON, and errors with a hint."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import save_file

from tlvcli.cli.app import app
from tlvcli.cli.main import run
from tlvcli.cli.render_train import render
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import OutputInfo, Report
from tlvcli.core.runtime import Stopwatch
from tlvcli.methods.finetuning.table import STRATEGIES
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.job import EpochResult
from tlvcli.pipelines.training.recipe import RECIPES
from tlvcli.pipelines.training.result import PlannedParameter, TrainResult

NETWORK = """
from torch import nn

def make(num_classes, in_chans=3):
    return nn.Sequential(nn.Conv2d(in_chans, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""

# Ten layers before the classifier: the recipe of non-binary counts eight from the input.
DEEPER = """
from torch import nn

def make(num_classes, in_chans=3):
    layers = [nn.Conv2d(4 if k else in_chans, 4, 3, padding=1) for k in range(10)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    network = f"{tmp_path}/net.py:make@random"
    return ["train", network, "--data", "digits@train:40", "--out", str(tmp_path / "run"), "--device", "cpu"]


def _table(said: str) -> list[list[str]]:
    """Return the cells of the table that the output begins with."""
    return [line.split() for line in said.partition("\n\n")[0].splitlines()]


def test_a_dry_run_draws_what_is_treated_alike(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = ["--strategy", "two-rate", "--lr", "0.01", "--weight-decay", "0.1", "--precision", "fp32"]
    assert run([*arguments, *settings, "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert _table(said) == [
        ["group", "tensors", "parameters", "rate", "decay", "from", "…", "to"],
        ["backbone", "1", "108", "0.001", "0.1", "0.weight"],
        ["backbone", "1", "4", "0.001", "-", "0.bias"],
        ["head", "1", "40", "0.01", "0.1", "3.weight"],
        ["head", "1", "10", "0.01", "-", "3.bias"],
    ]
    lines = said.splitlines()
    assert "two-rate: 162 parameters trained, cpu, fp32" in lines[-2]
    assert lines[-1] == "dry run: nothing written; --verbose shows every parameter"
    assert not (tmp_path / "run").exists()


def test_verbose_draws_every_parameter(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--strategy", "two-rate", "--lr", "0.01", "--weight-decay", "0.1", "--verbose"]
    assert run([*arguments, *settings, "--dry-run"]) == 0
    assert _table(capsys.readouterr().out) == [
        ["parameter", "shape", "group", "rate", "decay"],
        ["0.weight", "4x3x3x3", "backbone", "0.001", "0.1"],
        ["0.bias", "4", "backbone", "0.001", "-"],
        ["3.weight", "10x4", "head", "0.01", "0.1"],
        ["3.bias", "10", "head", "0.01", "-"],
    ]


def test_phases_and_l2_sp_have_columns_where_they_say_something(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, "--dry-run", "--strategy", "lp-ft", "--regularizer", "l2-sp", "--lr", "0.01"]) == 0
    assert _table(capsys.readouterr().out) == [
        ["group", "tensors", "parameters", "phase", "rate", "decay", "l2-sp", "from", "…", "to"],
        ["frozen", "2", "112", "1", "-", "-", "-", "0.weight", "…", "0.bias"],
        ["head", "1", "40", "1", "0.01", "-", "0.01", "3.weight"],
        ["head", "1", "10", "1", "0.01", "-", "-", "3.bias"],
        ["all", "2", "148", "2", "0.001", "-", "0.01", "0.weight", "…", "3.weight"],
        ["all", "2", "14", "2", "0.001", "-", "-", "0.bias", "…", "3.bias"],
    ]


def test_a_mask_holds_a_share_of_a_row(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = torch.tensor([1, 0, 0, 0], dtype=torch.uint8)
    save_file({"0.weight": held}, tmp_path / "mask.safetensors", metadata={"tlv_kind": "mask"})
    assert run([*arguments, "--dry-run", "--mask", str(tmp_path / "mask.safetensors"), "--strategy", "two-rate"]) == 0
    header, *rows = _table(capsys.readouterr().out)
    place = header.index("masked")
    assert [row[place] for row in rows] == ["25%", "25%", "-", "-"]


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_would_run(recipe: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "net.py").write_text(DEEPER)
    files = ["--data", "digits@train:40", "--out", str(tmp_path / "run"), "--device", "cpu", "--image-size", "16"]
    assert run(["train", f"{tmp_path}/net.py:make@random", *files, "--recipe", recipe, "--dry-run", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    lowest = {"tlv": 1e-4, "three-ways": 1e-3, "non-binary": 0.03, "statistics-mask": 1e-3}
    assert {row["lr"] for row in report["result"]["parameters"]} == {lowest[recipe]}
    assert (report["config"]["recipe"], report["config"]["image_size"]) == (recipe, 16)


def test_the_end_of_a_run(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--epochs", "1", "--workers", "0", "--precision", "fp32"]) == 0
    said = capsys.readouterr()
    header, row = _table(said.out)
    assert (header[-2:], row[0], row[-1]) == (["waiting", "seconds"], "1", "best")
    assert "best: epoch 1 of 1, val top-1 " in said.out
    assert said.out.splitlines()[-1] == f"next: tlv eval {tmp_path}/run/best.safetensors --data digits"
    (told,) = said.err.splitlines()
    assert told.startswith("epoch 1/1: ")
    (epoch,) = json.loads((tmp_path / "run" / "report.json").read_text())["result"]["epochs"]
    waited = f", {epoch['waiting_share']:.0%} waiting for data" if epoch["waiting_share"] >= 0.1 else ""
    assert told.endswith(f" images/s{waited}")
    assert run(["train", "--resume", str(tmp_path / "run")]) == 2
    assert "error[run-finished]" in capsys.readouterr().err
    assert run(["train", "--resume", str(tmp_path / "run"), "--lr", "0.5"]) == 2
    assert "lr was 0.0003 and would be 0.5" in capsys.readouterr().err


@pytest.mark.parametrize(("verbose", "shown"), [(False, [1, 7, *range(21, 31)]), (True, list(range(1, 31)))])
def test_of_many_epochs_the_first_the_best_and_the_last_are_shown(
    capsys: pytest.CaptureFixture[str], verbose: bool, shown: list[int]
) -> None:
    numbers = {"train_loss": 1.0, "val_loss": 1.0, "val_top1": 0.5, "images_per_second": 9.0, "waiting_share": 0.25}
    epochs = [EpochResult.model_construct(epoch=epoch, seconds=130.0, **numbers) for epoch in range(1, 31)]
    planned = PlannedParameter(
        name="w", shape=(1,), phase=1, group="all", lr=0.1, weight_decay=0, l2_sp=0, l2=0, masked=0
    )
    result = TrainResult.model_construct(
        architecture=Architecture(name="resnet18", num_classes=2, in_chans=3),
        strategy="full",
        trained_parameters=1,
        class_names=["ant", "bee"],
        precision="fp32",
        num_train_images=10,
        num_val_images=5,
        parameters=[planned],
        epochs=epochs,
        stopped_early=True,
        averaged=False,
        best_epoch=7,
        val_top1=0.5,
        val_loss=1.0,
        seconds_waiting=390.0,
        seconds_features=300.0,
        peak_memory_bytes=2 * 10**9,
    )
    report = Report.model_construct(
        run=Stopwatch().run_info(torch.device("cpu")),
        result=result,
        config={"dry_run": False, "recipe": "tlv", "data": "my photos@train:10"},
        outputs=[OutputInfo(role="best", path="run/best.safetensors", sha256="0" * 64)],
    )
    render(report, verbose)
    said = capsys.readouterr().out
    table = next(part for part in said.split("\n\n") if part.startswith("epoch"))
    assert [int(line.split()[0]) for line in table.splitlines()[1:]] == shown
    assert ("12 of 30 epochs; --verbose shows all" in said) is not verbose
    assert "best: epoch 7 of 30, stopped early, val top-1 50.00%, val loss 1.0000\n" in said
    assert "time: 1 h 10 min, 5 min 0 s of it for the features, 9% of it waiting for images; 2.0 GB at most" in said
    assert said.endswith("next: tlv eval run/best.safetensors --data 'my photos'\n")


def test_a_warning_is_told_once(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--data", "digits@train:3", "--dry-run"]) == 0
    said = capsys.readouterr().err
    assert said.splitlines() == ["warning: digits@train:3: 7 of 10 classes have no image to train on"]


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
        (["--recipe", "three-way"], "recipe-unknown", "did you mean three-ways?"),
        (["--augment", "non"], "augmentation-unknown", "did you mean none?"),
        (["--resume", "nowhere"], "resume-missing", "--force"),
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
    told: dict[str, str] = {}
    for name, field in (entry for fields in options for entry in fields):
        if field.default is not None:
            told.setdefault(name, f"{field.default:g}")
    assert len(told) == 6
    for name, default in told.items():
        assert f"default: {default}" in str(TrainConfig.model_fields[name].description), name
        assert name not in shown or shown[name] in (f"{default} with it", f"{default}; non-binary: 1"), name


def test_flags_that_turn_off(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["--no-shuffle", "--no-feature-cache", "--dry-run", "--json"]
    assert run([*arguments, *flags]) == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert (config["shuffle"], config["feature_cache"], config["recommended_rates"]) == (False, False, True)

"""Hostile files through the commands themselves: exit 2, two lines, nothing run, nothing written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.hostile.executions import MARK_NAME
from tests.hostile.pickles import call, in_zip, name_of, text
from tlvcli.cli.main import run


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return in_zip(tmp_path / "model.pt", call(name_of("os", "system"), text(f"touch {tmp_path / MARK_NAME}")))


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "FILE"],
        ["inspect", "FILE", "--stats"],
        ["inspect", "squeezenet1_1@random", "--against", "FILE"],
        ["transfer", "FILE", "resnet18", "FOLDER/out.safetensors"],
        ["transfer", "squeezenet1_1@random", "squeezenet1_1", "FOLDER/out.safetensors", "--target-checkpoint", "FILE"],
        ["convert", "FILE", "FOLDER/out.safetensors"],
        ["eval", "FILE", "--data", "digits"],
        ["eval", "squeezenet1_1@random", "--data", "digits", "--against", "FILE"],
        ["predict", "FILE", "IMAGE"],
        ["analyze-stats", "FILE", "--source", "digits@train", "--target", "digits@test"],
        ["analyze-stats", "squeezenet1_1@random", "--against", "FILE", "--data", "digits"],
        ["train", "FILE", "--data", "digits", "--out", "FOLDER/run"],
        ["train", "squeezenet1_1@random", "--data", "digits", "--out", "FOLDER/run", "--mask", "FILE"],
        ["train", "squeezenet1_1@random", "--data", "digits", "--out", "FOLDER/run", "--crossover", "FILE"],
        ["compare", "--source", "FILE", "--data", "digits", "--out", "FOLDER/grid"],
    ],
    ids=lambda arguments: " ".join(arguments),
)
def test_every_command_refuses(
    hostile: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    image = tmp_path_factory.mktemp("image") / "image.png"
    Image.new("RGB", (8, 8)).save(image)
    names = {"FILE": str(hostile), "FOLDER": str(tmp_path), "IMAGE": str(image)}
    words = [re.sub("|".join(names), lambda found: names[found[0]], word) for word in arguments]
    assert run([*words, "--quiet"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    error, hint = said.err.splitlines()
    assert error == f"error[checkpoint-unsafe]: {hostile} needs the global os.system"
    assert hint.startswith("hint: loading could run code, so nothing was run")
    assert [file.name for file in tmp_path.iterdir()] == ["model.pt"]


@pytest.mark.parametrize(("flag", "error_id"), [("--config", "config-unreadable"), ("--plan", "plan-unreadable")])
def test_a_device_in_place_of_a_file_is_read_to_a_limit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flag: str, error_id: str
) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    assert (
        run(["transfer", str(tmp_path / "a.pt"), "resnet18", str(tmp_path / "o.safetensors"), flag, "/dev/zero"]) == 2
    )
    assert f"error[{error_id}]: /dev/zero is larger than" in capsys.readouterr().err


def test_a_date_that_is_none_is_a_word_to_set(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    assert run(["inspect", str(tmp_path / "a.pt"), "--set", "atol=2024-99-99"]) == 2
    assert "not '2024-99-99'" in capsys.readouterr().err


def test_a_name_that_is_not_utf8(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.pt")
    torch.save({"w": torch.ones(2)}, tmp_path / "a.pt")
    Path(tmp_path / "a.pt").rename(path)
    assert run(["inspect", path, "--json"]) == 0
    assert '"path": "' in capsys.readouterr().out
    out = os.fsdecode(os.fsencode(tmp_path) + b"/\xfe.safetensors")
    assert run(["convert", path, out, "--quiet"]) == 0
    assert run(["inspect", out, "--verify", "--quiet"]) == 0


def test_a_pipe_makes_nobody_wait(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.pt")
    command = [sys.executable, "-m", "tlvcli", "inspect", str(tmp_path / "model.pt")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error[checkpoint-not-a-file]")

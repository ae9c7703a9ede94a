"""Each command once, on what the one before left: the whole way, with whatever versions are installed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tlvcli.cli.main import run

_NETWORKS = """
from torch import nn


def net(width, num_classes, in_chans):
    return nn.Sequential(
        nn.Conv2d(in_chans, width, 3), nn.BatchNorm2d(width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, num_classes),
    )


def small(num_classes, in_chans=3):
    return net(8, num_classes, in_chans)


def wide(num_classes, in_chans=3):
    return net(12, num_classes, in_chans)
"""
_HERE = ["--image-size", "8", "--device", "cpu"]


def _ends(capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> None:
    """Run a command, whose report must be JSON, and which must have said nothing of a bug of ours."""
    assert run([*words, "--json"]) == code, capsys.readouterr().err
    assert json.loads(capsys.readouterr().out)["schema"].startswith(f"tlv.{words[0]}/")


@pytest.mark.slow
def test_each_command_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(_NETWORKS)
    Image.new("RGB", (8, 8), (200, 30, 10)).save("image.png")
    train = ["--data", "digits@train:60", "--epochs", "1", *_HERE]
    _ends(capsys, "train", "net.py:small@random", "--out", "source", *train)
    source = "source/best.safetensors"
    _ends(capsys, "inspect", source, "--stats", "--verify", "--summary", "--input-size", "8", "--plots", "plots")
    _ends(capsys, "transfer", source, "net.py:wide", "start.safetensors", "--save-plan", "plan.yaml")
    _ends(capsys, "transfer", source, "net.py:wide", "again.safetensors", "--plan", "plan.yaml")
    probe = ["--strategy", "linear-probe", "--augment", "none"]
    _ends(capsys, "train", "start.safetensors", "--out", "target", *train, *probe)
    target = "target/best.safetensors"
    _ends(capsys, "eval", target, "--data", "digits@test:60", *_HERE, "--html", "eval.html")
    _ends(capsys, "predict", target, "image.png", "--device", "cpu", "--top", "3")
    data = ["--source", "digits@train:60", "--target", "digits@test:60"]
    _ends(capsys, "analyze-stats", source, *data, *_HERE, "--mask", "mask.safetensors", "--html", "shift.html")
    _ends(capsys, "convert", target, "half.safetensors", "--dtype", "float16")
    _ends(capsys, "doctor")


@pytest.mark.slow
def test_a_comparison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(_NETWORKS)
    grid = ["--source", "net.py:small@random", "--target-arch", "net.py:wide", "--methods", "he,tlv", "--seeds", "1"]
    data = ["--data", "digits@train:60", "--test-data", "digits@test:60", "--epochs", "1", *_HERE]
    _ends(capsys, "compare", *grid, *data, "--out", "cmp")

"""The rows of a plan: every tensor in a pipe, on a terminal one line for what a layer's tensors have in common."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tlvcli.cli.main import run

NETWORK = """
from torch import nn


def net(num_classes, in_chans=3):
    return nn.Sequential(nn.Conv2d(in_chans, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, num_classes))
"""


@pytest.fixture
def words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(NETWORK)
    save_file({"conv.weight": torch.ones(4, 3, 3, 3)}, "source.safetensors")
    return ["transfer", "source.safetensors", "net.py:net", "o.safetensors", "--method", "he", "--num-classes", "1"]


def _shown(words: list[str], capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert run([*words, "--dry-run"]) == 0
    return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()


def test_neighbours_of_which_the_same_is_told_are_one_line_on_a_terminal(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = _shown(words, capsys)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    screen, verbose = _shown(words, capsys), _shown([*words, "--verbose"], capsys)
    names = [line.split()[0] for line in piped[1 : piped.index("")]]
    assert run([*words, "--dry-run", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["result"]["rows"]
    assert names == [line.split()[0] for line in verbose[1 : verbose.index("")]] == [row["tensor"] for row in rows]
    first = [re.sub(r"  .*", "", line) for line in screen[1 : screen.index("")]]
    assert first == ["0.* (2)", "1.* (5)", "3.* (2)"]
    assert max(map(len, screen)) <= 80
    assert "(1 class)" in " ".join(screen)

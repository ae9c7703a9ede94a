"""`tlv eval` as a user sees it: a line to paste, a short block, gates by exit code."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tlvcli.cli.main import run

NETWORK = """
from torch import nn

def make(num_classes=10, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 6, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(24, num_classes),
    )
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    return ["eval", f"{tmp_path}/net.py:make@random", "--data", "digits@test:60", "--device", "cpu", "--quiet"]


def test_one_line_and_a_block_within_80_columns(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    assert run(arguments) == 0
    first, second, *block = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert first.startswith("top-1 ")
    assert " on 60 images (digits@test:60, test), " in f"{first} {second}"
    assert second.endswith(" images/s, cpu, fp32")  # broken between words
    labels = [line.split()[0] for line in block if not line.startswith(" ")]
    assert labels == ["95", "classes", "confused", "calibration"]
    assert max(map(len, block)) <= 80


def test_every_class_and_the_worst_images_on_request(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = tmp_path / "answers.csv"
    assert run([*arguments, "-v", "--worst", "3", "--predictions", str(table), "--bootstrap", "20"]) == 0
    out = capsys.readouterr().out
    lines = out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.split()[:1] == ["class"])
    assert len([line for line in lines[head + 1 :] if line.split()[:1] in [[str(digit)] for digit in range(10)]]) == 10
    worst = next(number for number, line in enumerate(lines) if line.startswith("most confident mistakes"))
    assert all(line.rstrip().endswith("%") for line in lines[worst + 1 : worst + 4])
    assert lines[worst + 4] == ""
    assert f"wrote {table}" in out
    assert ", ECE 0." in out
    assert len(table.read_text().splitlines()) == 61


def test_a_table_of_several_checkpoints(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*arguments, "--against", arguments[1], "--against", arguments[1]]) == 0
    lines = capsys.readouterr().out.splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("checkpoint"))
    assert lines[head].split() == ["checkpoint", "top-1", "loss", "macro", "F1", "difference", "95", "%", "p"]
    assert [line.split()[-1] for line in lines[head + 2 : head + 4]] == ["1.0000"] * 2
    assert "+0.00%" in lines[head + 2]


def test_gates_decide_the_exit_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--min-accuracy", "0%", "--gate", "ece<1"]) == 0
    assert capsys.readouterr().err == ""
    assert run([*arguments, "--min-accuracy", "1", "--gate", "per-class-recall>=1", "--json"]) == 1
    said = capsys.readouterr()
    gates = json.loads(said.out)["gates"]
    assert [gate["met"] for gate in gates] == [False, False]
    assert "gate not met: --min-accuracy 1: top1 is 0." in said.err
    assert "gate not met: --gate per-class-recall>=1: not for " in said.err


@pytest.mark.parametrize(
    ("flags", "error_id"),
    [
        (["--gate", "per-class-recal>=0.5"], "gate-unknown"),
        (["--gate", "top1"], "gate-invalid"),
        (["--min-accuracy", "90"], "config-invalid"),
        (["--min-accuracy", "most"], "config-invalid"),
        (["--mean", "0.5,x"], "config-invalid"),
        (["--std", "0,1,1"], "config-invalid"),
        (["--interpolation", "blurred"], "config-invalid"),
        (["--against-arch", "resnet18"], "config-invalid"),
        (["--class-map", "missing.json"], "class-map-unreadable"),
    ],
)
def test_bad_input(arguments: list[str], flags: list[str], error_id: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, *flags]) == 2
    assert capsys.readouterr().err.startswith(f"error[{error_id}]")

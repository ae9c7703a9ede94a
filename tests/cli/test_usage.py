"""What a beginner gets wrong on the command line, and the two lines that say what to write instead."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest

from tlvcli.cli.main import run


def _refused(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[str, str]:
    assert run(list(words)) == 2
    said, hint = capsys.readouterr().err.splitlines()
    return said, hint


def test_an_argument_too_many_is_told_what_the_command_takes(capsys: pytest.CaptureFixture[str]) -> None:
    said, hint = _refused(capsys, "train", "start.pt", "photos")
    assert said == "error[usage]: too many arguments (photos): tlv train takes CHECKPOINT, all else by flags"
    assert hint == "hint: tlv train --help lists the arguments and flags"
    assert _refused(capsys, "compare", "a.pt")[0].endswith("(a.pt): tlv compare takes flags only")


@pytest.mark.parametrize("words", [["inspect"], ["transfer", "x.pt"], ["train", "x.pt"], ["compare"], ["predict"]])
def test_what_is_missing_is_shown_by_an_example(capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    said, hint = _refused(capsys, *words)
    assert "is missing" in said
    assert hint.startswith(f"hint: as in: tlv {words[0]} ")
    assert run([words[0], "--help"]) == 0
    assert hint.removeprefix("hint: as in: ") in " ".join(capsys.readouterr().out.split())


def test_without_a_command_there_is_help_and_a_word_why(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 2
    shown = capsys.readouterr()
    assert "Usage: tlv" in shown.out
    assert shown.err.splitlines()[0] == "error[usage]: no command is named"


def test_a_file_in_the_place_of_an_architecture(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.pt").write_bytes(b"")
    said, hint = _refused(capsys, "transfer", "resnet18", "net.pt", "out.safetensors")
    assert said == "error[architecture-unknown]: no torchvision classifier is called net.pt"
    assert hint.startswith("hint: net.pt is a file, such as CHECKPOINT, which comes first")


class _Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_an_error_on_a_terminal_cuts_no_word_and_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"runs/{'x' * 50}/net.safetensors"
    monkeypatch.setenv("COLUMNS", "40")
    screen = _Screen()
    monkeypatch.setattr("sys.stderr", screen)
    assert run(["train", path, "--data", "digits", "--out", "run", "--set", "one=1", "--set", "another=2"]) == 2
    assert run(["inspect", path]) == 2
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(len(line) for line in lines if path not in line) <= 40
    assert lines[0] == "error[config-invalid]: unknown config"
    assert path in lines

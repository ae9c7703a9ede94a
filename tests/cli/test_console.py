"""Columns that fit, and foreign text that cannot steer the terminal."""

from __future__ import annotations

import io
import re
from itertools import pairwise

import pytest
from rich.console import Console

from tlvcli.cli.console import count, messages, results, safe, shape, size, warn, write_columns, write_sentence

ROWS = [("name", "n", "why"), ("features.0.conv.long.weight", "7", "because it is so and no other way")]


def _written(console: Console, cut: int) -> list[str]:
    write_columns(console, ROWS, right=(1,), cut=cut, bold=(0,))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_a_pipe_gets_everything() -> None:
    lines = _written(Console(file=io.StringIO(), width=30), 2)
    assert lines[1] == "features.0.conv.long.weight  7  because it is so and no other way"


def test_a_terminal_gets_what_fits() -> None:
    lines = _written(Console(file=io.StringIO(), width=50, force_terminal=True), 2)
    assert lines[0].startswith("\x1b[1mname")
    assert lines[1] == "features.0.conv.long.weight  7  because it is so…"
    names = _written(Console(file=io.StringIO(), width=60, force_terminal=True, no_color=True), 0)
    assert names[1] == "features.0.…ong.weight  7  because it is so and no other way"
    assert all(len(line) <= 60 for line in names)


@pytest.mark.parametrize("width", [20, 31])
def test_a_sentence_is_broken_between_words_and_a_path_never(width: int) -> None:
    path = "runs/with/a/long/name/best.safetensors"
    sentence = f"[bold]coherent[/]: {path} -> resnet18 (10 classes): coverage 6.3% of 11,181,642 parameters"
    screen, file = (io.StringIO() for _ in range(2))
    write_sentence(Console(file=screen, width=width, force_terminal=True, no_color=True), sentence)
    write_sentence(Console(file=file, width=width), sentence)
    plain = file.getvalue().removesuffix("\n")
    assert plain == sentence.replace("[bold]", "").replace("[/]", "")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert " ".join(lines) == plain
    assert all(len(line) <= width for line in lines if line != path)
    # None could have taken the word that the next one begins with.
    assert all(len(line) + 1 + len(after.split()[0]) > width for line, after in pairwise(lines))


def test_numbers_and_foreign_text() -> None:
    assert (count(11_689_512), size(999), size(46_800_000)) == ("11,689,512", "999 B", "46.8 MB")
    assert (shape((64, 3, 7, 7)), shape(())) == ("64x3x7x7", "scalar")
    assert safe("[red]\x1b[2J") == "\\[red]\ufffd[2J"


def test_a_sample_of_100_images_is_no_emoji(capsys: pytest.CaptureFixture[str]) -> None:
    results().print("digits@train:100: trained")
    warn("digits@train:100: small")
    shown = capsys.readouterr()
    assert shown.out == "digits@train:100: trained\n"
    assert shown.err == "warning: digits@train:100: small\n"


class _Screen(io.StringIO):
    """A terminal."""

    def isatty(self) -> bool:
        return True


def test_a_message_on_a_terminal_cuts_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    words = "epoch 1/2: train loss 2.3756, val loss 2.3076, val top-1 10.00%, 98 images/s"
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm")
    screen, file = _Screen(), io.StringIO()
    monkeypatch.setattr("sys.stderr", screen)
    messages().print(words)
    lines = screen.getvalue().splitlines()
    assert len(lines) == 2
    assert " ".join(line.strip() for line in lines) == words
    monkeypatch.setattr("sys.stderr", file)
    messages().print(words)
    assert file.getvalue() == f"{words}\n"

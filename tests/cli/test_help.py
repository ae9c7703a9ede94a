"""The help of every command: an example before the flags, no types beside switches, nothing wider than a terminal."""

from __future__ import annotations

import re

import pytest
import typer

from tlvcli.cli.app import app
from tlvcli.cli.main import run
from tlvcli.methods.table import TRANSFER_METHODS

COMMANDS = list(typer.main.get_command(app).commands)  # type: ignore[attr-defined]


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS)], ids=["tlv", *COMMANDS])
def test_help_begins_with_an_example_and_fits_80_columns(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*words, "--help"]) == 0
    shown = capsys.readouterr().out
    head = shown[: shown.index("╭─")]
    assert re.search(rf"Example: tlv {' '.join(words)}", head)
    assert max(map(len, shown.splitlines())) == 80
    assert "bool" not in shown
    flags = {flag for line in shown.splitlines() for flag in re.findall(r"^│ (--[a-z0-9-]+)", line)}
    group = typer.main.get_command(app)
    command = group.commands[words[0]] if words else group  # type: ignore[attr-defined]
    assert flags >= {option for one in command.params for option in one.opts if option.startswith("--")}


def test_the_help_of_method_names_them_all() -> None:
    command = typer.main.get_command(app).commands["transfer"]  # type: ignore[attr-defined]
    told = next(one.help for one in command.params if one.name == "method")
    assert [name for name in re.findall(r"[a-z0-9-]+", told) if name in {m.name for m in TRANSFER_METHODS}] == [
        *(method.name for method in TRANSFER_METHODS if not method.name.endswith("-reference")),
        *(method.name for method in TRANSFER_METHODS if method.name.endswith("-reference")),
    ]

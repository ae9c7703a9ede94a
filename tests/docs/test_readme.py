"""The README keeps its word: commands are understood, those that need no data print what is shown, links lead on."""

from __future__ import annotations

import contextlib
import io
import re
import runpy
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer

from tlvcli.cli.app import app
from tlvcli.cli.main import run
from tlvcli.methods.table import TRANSFER_METHODS

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
CONSOLE = runpy.run_path(str(ROOT / "docs" / "console.py"))
STEPS = list(CONSOLE["steps"](README))


def _typed() -> list[list[str]]:
    """Every command of `tlv`: of the blocks, of indented lines, and of the sentences that spell one out."""
    indented = re.findall(r"^    tlv (.*?)(?: +#.*)?$", README, re.MULTILINE)
    spelt = [words for words in re.findall(r"`tlv ([^`]*)`", README) if "..." not in words]
    return [step.arguments for step in STEPS] + [shlex.split(words) for words in (*indented, *spelt)]


def test_every_command_is_understood() -> None:
    group: Any = typer.main.get_command(app)
    typed = [words for words in _typed() if not words[0].startswith("--")]
    assert {words[0] for words in typed} == set(group.commands)
    for name, *words in typed:
        with group.commands[name].make_context(name, list(words)) as context:
            assert any(value is not None for value in context.params.values()) or name == "doctor"


@pytest.mark.parametrize("command", ["inspect", "convert", "transfer"])
def test_commands_print_what_is_shown(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    step = next(step for step in STEPS if step.arguments[0] == command)
    if command == "transfer":
        _save_small_vgg(Path(step.arguments[1]))
    else:
        runpy.run_path(str(ROOT / "docs" / "screens.py"))["make_checkpoints"](tmp_path)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
        assert run(step.arguments) == 0
    shown = [re.sub(r" +", " ", line) for line in step.printed.splitlines() if not line.startswith("wrote ")]
    lines = [re.sub(r" +", " ", line) for line in printed.getvalue().splitlines() if not line.startswith("wrote ")]
    assert [line.rstrip() for line in lines if line.strip()] == [line for line in shown if line]


def _save_small_vgg(path: Path) -> None:
    """Write the network that the demo trains, untrained: a plan reads shapes, and variances that only order."""
    import torch
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True)
    torch.manual_seed(0)
    state = runpy.run_path(str(ROOT / "examples" / "small_vgg.py"))["make"](10).state_dict()
    save_file(state, path)


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", re.sub(r"<!--.*?-->", "", README, flags=re.DOTALL))
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_method_stands_in_the_table() -> None:
    table = README[README.index("| `--method` |") : README.index("After any of them")]
    assert [method.name for method in TRANSFER_METHODS if f"`{method.name}`" not in table] == []

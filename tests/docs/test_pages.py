"""The pages do what they say: commands run, their output has the shape shown, expressions find their fields."""

from __future__ import annotations

import contextlib
import io
import json
import re
import runpy
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from pydantic import BaseModel

from tlvcli.api.signatures import VERBS
from tlvcli.cli.app import app
from tlvcli.cli.main import run
from tlvcli.core.report import Report

DOCS = Path(__file__).resolve().parents[2] / "docs"
CONSOLE = runpy.run_path(str(DOCS / "console.py"))
# The same commands in a few seconds.
CHEAP = {"digits": "digits@train:60", "digits@test": "digits@test:60"}


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_the_quickstart_runs_on_fewer_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    steps = list(CONSOLE["steps"](_page("quickstart.md")))
    assert [step.arguments[0] for step in steps] == ["train", "inspect", "transfer", "train", "eval"]
    for step in steps:
        words = [CHEAP.get(word, word) for word in step.arguments]
        words = ["1" if before == "--epochs" else word for before, word in zip(["", *words], words, strict=False)]
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(io.StringIO()):
            assert run(words) == 0, words
        assert CONSOLE["shape"](printed.getvalue()) == CONSOLE["shape"](step.printed), step.typed


@pytest.mark.slow
def test_the_quickstart_runs_as_it_stands(tmp_path: Path) -> None:
    again = CONSOLE["refreshed"](_page("quickstart.md"), CONSOLE["run_in"](tmp_path))
    for before, now in zip(CONSOLE["steps"](_page("quickstart.md")), CONSOLE["steps"](again), strict=True):
        assert CONSOLE["shape"](now.printed) == CONSOLE["shape"](before.printed), now.typed
    assert json.loads((tmp_path / "wide" / "report.json").read_text())["result"]["val_top1"] > 0.8


def test_the_python_page_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    page, names = _page("python.md"), dict[str, Any]()
    for block in _blocks(page, "python"):
        capsys.readouterr()
        exec(compile(block, "python.md", "exec"), names)
    assert capsys.readouterr().out == _blocks(page, "")[-1]
    assert names["logits"].shape == (2, 10)
    assert names["start"].result.coverage > 0.5
    for function in re.findall(r"`tlvcli\.(\w+)`", page):
        assert hasattr(names["tlvcli"], function) or function == "TlvError"


def _ci_lines() -> list[str]:
    """Every line of shell on the page: of the workflow's steps, and of the blocks."""
    page = _page("ci.md")
    workflow = yaml.safe_load(_blocks(page, "yaml")[0])
    scripts = [step["run"] for step in workflow["jobs"]["model"]["steps"] if "run" in step]
    scripts += _blocks(page, "sh")
    return [line.strip() for script in scripts for line in script.replace("\\\n", " ").splitlines()]


def _commands() -> Iterator[list[str]]:
    for line in _ci_lines():
        for found in re.finditer(r"(?:^|\s)(?:tlv|-m tlvcli) (.*)", line):
            words = shlex.split(re.split(r" (?:2?>>?|\|\||&&) ", found.group(1))[0])
            yield words


def test_every_command_of_the_ci_page_is_understood() -> None:
    group: Any = typer.main.get_command(app)
    commands = list(_commands())
    assert len(commands) > 12
    for name, *words in commands:
        with group.commands[name].make_context(name, list(words)) as context:
            assert context.params, words
    gates = set(re.findall(r"^\| `(--[\w-]+)", _page("ci.md"), re.MULTILINE))
    flags = {flag for command in group.commands.values() for one in command.params for flag in one.opts}
    assert gates <= flags


SAMPLES = {
    "eval": "eval.json",
    "transfer": "start.report.json",
    "analyze-stats": "drift.json",
    "train": "run/report.json",
}


def _schema(command: str) -> dict[str, Any]:
    name = {"eval": "evaluate"}.get(command, command.replace("-", "_"))
    verb = next(verb for verb in VERBS if verb.name == name)
    module, _, result = verb.result.partition(":")
    kind: type[BaseModel] = getattr(__import__(module, fromlist=[result]), result)
    return Report[kind].model_json_schema(by_alias=True)  # type: ignore[valid-type]


def _expressions() -> list[tuple[str, str]]:
    """Every jq expression of the page with the first file that it reads."""
    found = []
    for line in _ci_lines():
        if "jq " in line:
            words = shlex.split(line[line.index("jq ") :].split(";")[0].split(" > ")[0].split(" >> ")[0])
            plain = [word for word in words[1:] if not word.startswith("-")]
            found.append((plain[0], plain[1]))
    return found


def _paths(expression: str) -> Iterator[list[str]]:
    """Yield the fields that an expression reads, each from the top of what it is given."""
    before: list[str] = []
    for stage in re.split(r"\|(?![^(]*\))", expression):
        inner = re.findall(r"\.([a-z_][\w]*(?:\[\])?(?:\.[a-z_]\w*(?:\[\])?)*)", stage)
        listed = re.findall(r"^\s*\{([\w, ]+)\}", stage)
        fields = [path.replace("[]", ".[]").split(".") for path in inner] + [
            [name] for names in listed for name in re.split(r",\s*", names)
        ]
        yield from ([*before, *path] for path in fields)
        if re.fullmatch(r"\s*\.[\w.\[\]]+\s*", stage):
            before = [*before, *fields[0]]


def _lookup(schema: dict[str, Any], path: list[str]) -> dict[str, Any]:
    node = schema
    for name in path:
        options = [node, *node.get("anyOf", [])]
        resolved = [schema["$defs"][one["$ref"].rpartition("/")[2]] if "$ref" in one else one for one in options]
        if name == "[]":
            node = next(one["items"] for one in resolved if "items" in one)
        else:
            node = next(one["properties"][name] for one in resolved if name in one.get("properties", {}))
    return node


def test_jq_expressions_read_fields_that_reports_have() -> None:
    expressions = _expressions()
    assert len(expressions) >= 13
    read = 0
    for expression, file in expressions:
        command = next((command for command, sample in SAMPLES.items() if sample == file), None)
        if command is None:
            assert file == "error.json"
            continue
        schema = _schema(command)
        for path in _paths(expression):
            assert _lookup(schema, path), (expression, path)
            read += 1
    assert read > 20
    with pytest.raises(StopIteration):
        _lookup(_schema("eval"), ["result", "accuracy"])


@pytest.mark.skipif(shutil.which("jq") is None, reason="no jq")
def test_jq_expressions_are_valid() -> None:
    gate = {"flag": "--min-accuracy 0.9", "met": False, "message": "top-1 is 0.5"}
    interval = {"low": 0.4, "high": 0.6}
    classes = [{"name": "ant", "recall": 0.4}, {"name": "bee", "recall": None}, {"name": "fly", "recall": 0.9}]
    shift = {"overall": {"shifted": 1, "kernels": 2, "advice": "a"}, "layers": [{"name": "conv", "share": 0.5, "x": 1}]}
    result = {"top1": 0.5, "top1_interval": interval, "classes": classes, "calibration": {"ece": 0.05}, "shift": shift}
    result |= {"coverage": 0.8, "rows": [{"tensor": "fc", "transferred": 0}, {"tensor": "conv", "transferred": 1}]}
    result |= {"best_epoch": 3, "val_top1": 0.9}
    error = {"id": "usage", "message": "m", "hint": "h"}
    sample = json.dumps({"result": result, "gates": [gate], "config": {"seed": 0}, "error": error})
    told = {
        ".result.top1": "0.5",
        '.result.top1_interval | "\\(.low) to \\(.high)"': "0.4 to 0.6",
        ".result.classes[] | select(.recall != null and .recall < 0.5) | .name": "ant",
        ".result.rows[] | select(.transferred == 0) | .tensor": "fc",
        ".gates[] | select(.met | not) | .message": "top-1 is 0.5",
        ".result.shift.layers[] | {name, share}": '{"name":"conv","share":0.5}',
    }
    for expression, _ in _expressions():
        asked = ["jq", "-rc", expression]
        answer = subprocess.run(asked, input=sample, capture_output=True, text=True, check=True).stdout.strip()
        assert answer
        assert told.pop(expression, answer) == answer
    assert told == {}

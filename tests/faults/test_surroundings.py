"""Streams that are closed or full, readers that leave, no home, no terminal, a locale without our characters."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.faults.children import finish
from tests.faults.conftest import Place
from tlvcli.io.checkpoint import open_checkpoint


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "couche é.safetensors"
    save_file({f"block{number}.é.weight": torch.ones(3, 3) for number in range(2000)}, path)
    return path


def _shell(line: str, model: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which TLV and MODEL stand for the program and the file."""
    words = {"TLV": f"{shlex.quote(sys.executable)} -m tlvcli", "MODEL": shlex.quote(str(model))}
    for name, value in words.items():
        line = line.replace(name, value)
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(
        ["bash", "-c", line], capture_output=True, text=True, errors="replace", timeout=120, check=False, env=kept
    )


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("TLV inspect MODEL --json | head -c 1 > /dev/null; exit ${PIPESTATUS[0]}", 0),
        ("TLV inspect nothing.pt --json >&- 2>&- <&-", 2),
        *[
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (
                ("TLV inspect MODEL | head -1 > /dev/null; exit ${PIPESTATUS[0]}", 0),
                ("TLV inspect MODEL >&-", 0),
                ("TLV inspect MODEL --json >&- 2>&-", 0),
                ("TLV inspect nothing.pt 2>&-", 2),
                ("TLV inspect nothing.pt 2> /dev/full", 2),
                ("TLV eval MODEL --data digits@test:20 2> /dev/full >&-", 2),
            )
        ],
    ],
)
def test_streams_that_nobody_reads(model: Path, line: str, code: int) -> None:
    done = _shell(line, model)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


@pytest.mark.parametrize("flags", [(), ("--json",)])
def test_results_on_a_full_disk(place: Place, model: Path, flags: tuple[str, ...]) -> None:
    assert finish(["inspect", str(model), *flags], place.log, before=lambda: _point(1, at="a full disk")) == 2
    if flags:
        assert json.loads(place.log.read_text())["error"]["id"] == "output-not-writable"
    else:
        error, hint = place.said
        assert error == "error[output-not-writable]: cannot write to stdout: No space left on device"
        assert hint.startswith("hint: files that the command was to write are written")


def test_an_output_does_not_take_the_place_of_a_closed_stream(place: Place, model: Path, tmp_path: Path) -> None:
    """The first file that a process opens gets the lowest free number, which libraries print to."""
    out = tmp_path / "out.safetensors"
    assert finish(["convert", str(model), str(out)], place.log, before=lambda: os.closerange(0, 3)) == 0
    assert len(open_checkpoint(out).specs) == 2000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.safetensors"]


def test_nothing_but_a_path_in_the_environment(model: Path) -> None:
    here = {"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2])}
    bare = {**here, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "dumb"}
    command = [sys.executable, "-m", "tlvcli", "inspect", str(model)]
    plain = subprocess.run(command, capture_output=True, env=bare, timeout=120, check=False)
    assert (plain.returncode, plain.stderr) == (0, b"")
    assert plain.stdout.isascii()
    assert b"block0-1999.?" in plain.stdout


@pytest.mark.parametrize("unheard", ["a reader that has left", "a full disk"])
def test_messages_that_nobody_reads_end_no_work(place: Place, tmp_path: Path, unheard: str) -> None:
    def spoil() -> None:
        _point(2, at=unheard)

    words = ["train", place.trained, "--strategy", "linear-probe", "--augment", "none", "--data", "digits@train:20"]
    small = ["--image-size", "8", "--device", "cpu", "--workers", "0", "--epochs", "1"]
    assert finish([*words, *small, "--out", str(tmp_path / "run")], place.log, before=spoil) == 0
    assert (tmp_path / "run" / "last.safetensors").exists()
    assert any(line.startswith("wrote ") for line in place.said)  # the results, but none of the messages
    assert not any("computed once" in line for line in place.said)


@pytest.mark.parametrize("outputs", [(), ("--csv",), ("--report",)])
def test_a_reader_of_lines_that_leaves(place: Place, tmp_path: Path, outputs: tuple[str, ...]) -> None:
    """It ends the command only where nothing else is to be written."""
    for number in range(3):
        Image.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    named = [word for flag in outputs for word in (flag, str(tmp_path / "out"))]
    words = ["predict", place.trained, str(tmp_path), "--jsonl", "--batch-size", "1", "--device", "cpu", *named]
    code = finish([*words, "--workers", "0"], place.log, before=lambda: _point(1, at="a reader that has left"))
    assert (code, place.said) == (0, [])
    if "--csv" in outputs:
        assert len((tmp_path / "out").read_text().splitlines()) == 4
    if "--report" in outputs:
        assert json.loads((tmp_path / "out").read_text())["result"]["images"] == 3


def _point(stream: int, *, at: str) -> None:
    if at == "a full disk":
        target = os.open("/dev/full", os.O_WRONLY)
    else:
        reads, target = os.pipe()
        os.close(reads)
    os.dup2(target, stream)

"""How long a user waits for what needs no torch: help, version, completion, a refusal; and for `inspect`, `doctor`."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.measure import processes, show

_PROGRAM = ("-m", "tlvcli")
_COMMANDS = ("inspect", "transfer", "analyze-stats", "train", "eval", "predict", "convert", "compare", "doctor")
_TYPED = (
    "tlv tr",
    "tlv train --strat",
    "tlv transfer x vgg16",
    "tlv transfer x timm:resnet101_c",
    "tlv train x --lr 1 --strategy l",
)


def run() -> list[dict[str, Any]]:
    """Measure, print and return the rows."""
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        large, small = (str(Path(folder) / f"{name}.safetensors") for name in ("large", "small"))
        save_file({f"layer{number}.weight": torch.zeros(1250, 1000) for number in range(100)}, large)
        save_file({"fc.weight": torch.zeros(10, 512)}, small)
        commands: dict[str, Sequence[str]] = {
            "python -c pass": ["-c", "pass"],
            "import typer": ["-c", "import typer"],
            "import typer.rich_utils": ["-c", "import typer.rich_utils"],
            "tlv --version": [*_PROGRAM, "--version"],
            "tlv --help": [*_PROGRAM, "--help"],
            **{f"tlv {command} --help": [*_PROGRAM, command, "--help"] for command in _COMMANDS},
            **{f"completing {typed}": _completion(typed) for typed in _TYPED},
            "tlv transfer, no such architecture": _refused("transfer", small, "resnet81", f"{folder}/out.safetensors"),
            "tlv train, no such data": _refused("train", small, "--data", f"{folder}/absent", "--out", f"{folder}/run"),
            "tlv inspect, 20 kB safetensors": [*_PROGRAM, "inspect", small],
            "tlv inspect, 500 MB safetensors": [*_PROGRAM, "inspect", large],
            "tlv inspect --json, 500 MB": [*_PROGRAM, "inspect", large, "--json"],
        }
        measured = processes(commands, rounds=5)
        measured |= processes({"tlv doctor": [*_PROGRAM, "doctor"]}, rounds=3)  # it imports torch
    floor = measured["python -c pass"].seconds
    rows = [
        {"command": name, "seconds": one.seconds, "ratio": one.seconds / floor, "peak MB": one.peak_mb}
        for name, one in measured.items()
    ]
    show("Start-up (ratio to a bare interpreter)", rows)
    return rows


def _completion(typed: str) -> list[str]:
    """Return what answers zsh, whose question is in the environment."""
    program = (
        f"import os, sys; os.environ.update(_TLV_COMPLETE='complete_zsh', _TYPER_COMPLETE_ARGS={typed!r}); "
        "from tlvcli.cli.main import run; run([])"
    )
    return ["-c", program]


def _refused(*arguments: str) -> list[str]:
    program = (
        "import contextlib, io\nfrom tlvcli.cli.main import run\n"
        f"with contextlib.redirect_stderr(io.StringIO()): assert run({list(arguments)!r}) == 2"
    )
    return ["-c", program]

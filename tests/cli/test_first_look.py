"""What is wrong with names, files and settings is said before torch is imported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

_TRANSFER = ["transfer", "net.safetensors", "resnet18", "o.safetensors"]
_SHIFT = ["analyze-stats", "net.safetensors", "--target", "digits", "--source"]
_COMPARE = ["compare", "--source", "net.safetensors", "--target-arch", "resnet18", "--data", "digits", "--out", "c"]

# A command line, and the error that is to come.
REFUSED = [
    (["inspect", "resnet81@DEFAULT"], "architecture-unknown"),
    (["convert", "resnet81@random", "o.safetensors"], "architecture-unknown"),
    (["transfer", "net.safetensors", "resnet81", "o.safetensors"], "architecture-unknown"),
    (["transfer", "net.safetensors", "timm:resnet81", "o.safetensors"], "architecture-unknown"),
    (["transfer", "net.safetensors", "absent.py:make", "o.safetensors"], "architecture-unknown"),
    ([*_TRANSFER, "--source-arch", "resnet81"], "architecture-unknown"),
    (["transfer", "absent.pt", *_TRANSFER[2:]], "checkpoint-missing"),
    (["transfer", "resnet18", *_TRANSFER[2:]], "checkpoint-missing"),
    ([*_TRANSFER, "--target-checkpoint", "absent.pt"], "checkpoint-missing"),
    ([*_TRANSFER, "--fit", "absent"], "data-missing"),
    ([*_TRANSFER, "--method", "tvl"], "method-unknown"),
    ([*_TRANSFER[:3], "net.safetensors"], "output-is-input"),
    ([*_TRANSFER[:3], "there.safetensors"], "output-exists"),
    (["train", "absent.pt", "--data", "digits", "--out", "run"], "checkpoint-missing"),
    (["train", "net.safetensors", "--arch", "resnet81", "--data", "digits", "--out", "run"], "architecture-unknown"),
    (["train", "net.safetensors", "--data", "absent", "--out", "run"], "data-missing"),
    (["train", "net.safetensors", "--data", "cifar10:absent", "--out", "run"], "data-missing"),
    (["train", "net.safetensors", "--data", "digits@test", "--out", "run"], "data-split-invalid"),
    (["train", "net.safetensors", "--data", "digits", "--out", "full"], "output-exists"),
    (["train", "net.safetensors", "--data", "digits", "--out", "run", "--strategy", "ful"], "strategy-unknown"),
    (["train", "net.safetensors", "--data", "digits", "--out", "run", "--mask", "absent"], "checkpoint-missing"),
    (["train", "net.safetensors", "--data", "digits", "--out", "run", "--crossover", "a.pt"], "checkpoint-missing"),
    (["train", "net.safetensors", "--data", "digits", "--out", "run", "--device", "gpu"], "device-unavailable"),
    (["eval", "absent.pt", "--data", "digits"], "checkpoint-missing"),
    (["eval", "net.safetensors", "--against", "resnet81@random", "--data", "digits"], "architecture-unknown"),
    (["eval", "net.safetensors", "--data", "full@val"], "data-split-missing"),
    (["eval", "net.safetensors", "--data", "digits", "--html", "there.safetensors"], "output-exists"),
    (["predict", "resnet81@random", "full/a/1.png"], "architecture-unknown"),
    ([*_SHIFT, "absent"], "data-missing"),
    ([*_SHIFT, "digits", "--statistic", "xyz"], "statistic-unknown"),
    ([*_SHIFT, "digits", "--mask", "there.safetensors"], "output-exists"),
    (["analyze-stats", "net.safetensors", "--against", "absent.pt", "--data", "digits"], "checkpoint-missing"),
    (["analyze-stats", "net.safetensors", "--score", "logme", "--data", "absent"], "data-missing"),
    ([*_COMPARE, "--source", "absent.pt"], "checkpoint-missing"),
    ([*_COMPARE, "--target-arch", "resnet81"], "architecture-unknown"),
    ([*_COMPARE, "--test-data", "absent"], "data-missing"),
    ([*_COMPARE, "--set", "train.epochz=1"], "config-invalid"),
]

ASK = """
import contextlib, io, json, sys
from tlvcli.cli.main import run
for arguments, expected in json.load(sys.stdin):
    said = io.StringIO()
    with contextlib.redirect_stderr(said):
        code = run([*arguments, "--json"])
    error = json.loads(said.getvalue())["error"] if code else {}
    loaded = sorted({"torch", "torchvision", "timm", "sklearn"} & set(sys.modules))
    assert (code, error.get("id"), loaded) == (2, expected, []), (arguments, code, error, loaded)
"""


def test_what_shows_at_a_glance_is_refused_without_torch(tmp_path: Path) -> None:
    for name in ("net", "there"):
        save_file({"fc.weight": np.zeros((3, 2), np.float32)}, tmp_path / f"{name}.safetensors")
    picture = tmp_path / "full" / "a" / "1.png"
    picture.parent.mkdir(parents=True)
    picture.write_bytes(b"")
    # One process for all: each would take its second to start.
    command = [sys.executable, "-c", ASK]
    done = subprocess.run(command, input=json.dumps(REFUSED), capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"net.safetensors", "there.safetensors", "full"}

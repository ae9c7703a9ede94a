"""`kill -9` at any moment of transfer, train and compare: what is on disk afterwards, and what going on comes to."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from tests.faults.children import finish, kill_sometime, start
from tlvcli.cli.main import run

# What says when, how long and on what, and so differs between two runs that are the same.
_PASSING = {
    "seconds",
    "seconds_waiting",
    "seconds_features",
    "images_per_second",
    "peak_memory_bytes",
    "run",
    "time",
    "waiting_share",
}

NETWORKS = """
from torch import nn


def make(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(64, num_classes),
    )


def wider(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(96, num_classes),
    )
"""


@dataclass(frozen=True)
class Survived:
    """How many kills a command took, how many commands that was, and that nothing was lost."""

    command: str
    kills: int
    runs: int
    files_looked_at: int
    seconds: float


def warm_up(folder: Path) -> None:
    """Train for an epoch in this process, so that no child has anything left to import."""
    network = _write_networks(folder)
    small = ["--data", "digits@train:20", "--image-size", "8", "--device", "cpu", "--epochs", "1", "--quiet"]
    assert run(["train", f"{network}:make@random", *small, "--out", str(folder / "run")]) == 0


def kill_transfers(folder: Path, kills: int, lot: random.Random) -> Survived:
    """Kill `tlv transfer --force` over outputs that are there: each file must be the old one or the new one."""
    started = time.monotonic()
    source, out, report, log = (folder / name for name in ("source.safetensors", "out.safetensors", "out.json", "log"))
    assert finish(["transfer", "squeezenet1_0@random", "squeezenet1_0", str(source)], log) == 0, log.read_text()

    def command(method: str) -> list[str]:
        where = [str(source), "squeezenet1_1", str(out), "--report", str(report), "--force"]
        return ["transfer", *where, "--method", method, "--quiet"]

    whole: dict[str, str] = {}
    for method in ("he", "tlv"):
        assert finish(command(method), log) == 0, log.read_text()
        whole[method] = _sha256(out)
    begun = time.monotonic()
    assert finish(command("tlv"), log) == 0
    within = time.monotonic() - begun
    done = runs = looked = 0
    while done < kills:
        method = lot.choice(("he", "tlv"))
        child = start(command(method), log)
        runs += 1
        done += kill_sometime(child, folder, within=within, lot=lot) is None
        assert _sha256(out) in whole.values(), f"half a checkpoint after kill {done}"
        said = json.loads(report.read_text())
        assert said["outputs"][0]["sha256"] == whole[said["result"]["method"]]
        looked += 2
        for rest in folder.glob(".*.tmp"):  # what a killed process leaves; the next one does not mind
            rest.unlink()
    assert finish(command("tlv"), log) == 0
    assert _sha256(out) == whole["tlv"]
    return Survived("transfer", done, runs, looked, time.monotonic() - started)


def kill_trainings(folder: Path, kills: int, lot: random.Random) -> Survived:
    """Kill `tlv train` and each `--resume` of it until it is done; the run must end as one that nobody killed."""
    started = time.monotonic()
    network, log = _write_networks(folder), folder / "log"
    settings = ["--data", "digits@train:96", "--image-size", "8", "--device", "cpu", "--workers", "0", "--epochs", "5"]
    settings += ["--batch-size", "16", "--set", "checkpoint_every=2", "--set", "ema=0.7", "--quiet"]

    def command(out: Path) -> list[str]:
        if (out / "resume.safetensors").is_file():
            return ["train", "--resume", str(out), "--quiet"]
        return ["train", f"{network}:make@random", *settings, "--out", str(out), "--force"]

    whole, broken = folder / "whole", folder / "broken"
    begun = time.monotonic()
    assert finish(command(whole), log) == 0, log.read_text()
    within = time.monotonic() - begun

    def check(code: int) -> None:
        assert code == 0 or "run-finished" in log.read_text(), log.read_text()
        found, expected = finish_figures(broken), finish_figures(whole)
        if found != expected:
            raise AssertionError(f"{found}\n{expected}")

    done, runs, looked = _kill_until_done(kills, lambda: command(broken), broken, log, within, lot, check)
    return Survived("train", done, runs, looked, time.monotonic() - started)


def _kill_until_done(
    kills: int,
    command: Callable[[], Sequence[str]],
    broken: Path,
    log: Path,
    within: float,
    lot: random.Random,
    check: Callable[[int], None],
) -> tuple[int, int, int]:
    """Kill what writes into `broken`, and what goes on with it, until it is done and checked; again for all `kills`.

    Returns the kills, the commands and the files that were looked at.
    """
    done = runs = looked = 0
    while done < kills:
        shutil.rmtree(broken, ignore_errors=True)
        code: int | None = None
        while code is None:
            child = start(command(), log)
            runs += 1
            # Of the last few none is killed, so that each run comes to its end.
            code = kill_sometime(child, broken, within=within, lot=lot) if done < kills else child.wait()
            done += code is None
            looked += _look_at_all(broken)
        check(code)
    return done, runs, looked


def kill_comparisons(folder: Path, kills: int, lot: random.Random) -> Survived:
    """Kill `tlv compare` and the same command again until it is done; its figures must be those of an unbroken one."""
    started = time.monotonic()
    network, log = _write_networks(folder), folder / "log"
    settings = ["--source", f"{network}:make@random", "--target-arch", f"{network}:wider", "--data", "digits@train:40"]
    settings += ["--test-data", "digits@test:40", "--methods", "he,tlv", "--seeds", "2", "--epochs", "2", "--jobs", "1"]
    settings += ["--image-size", "8", "--device", "cpu", "--quiet"]
    whole, broken = folder / "whole", folder / "broken"
    begun = time.monotonic()
    assert finish(["compare", *settings, "--out", str(whole)], log) == 0, log.read_text()
    within = time.monotonic() - begun

    def check(code: int) -> None:
        assert code == 0, log.read_text()
        assert _without_passing(broken / "compare.json", broken) == _without_passing(whole / "compare.json", whole)

    command = ["compare", *settings, "--out", str(broken)]
    done, runs, looked = _kill_until_done(kills, lambda: command, broken, log, within, lot, check)
    return Survived("compare", done, runs, looked, time.monotonic() - started)


KILLERS: dict[str, Callable[[Path, int, random.Random], Survived]] = {
    "transfer": kill_transfers,
    "train": kill_trainings,
    "compare": kill_comparisons,
}


def finish_figures(run: Path) -> dict[str, Any]:
    """Return what a finished run came to: its checkpoints to the bit, and its epochs but for their times."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return {
        "best": _sha256(run / "best.safetensors"),
        "last": _sha256(run / "last.safetensors"),
        "epochs": [_drop_passing(line) for line in lines],
    }


def _write_networks(folder: Path) -> Path:
    path = folder / "net.py"
    path.write_text(NETWORKS)
    return path


def _look_at_all(folder: Path) -> int:
    """Read every file that has its name: none may be half; return how many there are."""
    files = [path for path in folder.rglob("*") if path.is_file() and not path.name.endswith((".tmp", ".log"))]
    for path in files:
        with suppress(FileNotFoundError):  # a cell that was left alone ends a moment later, and its leftovers go
            _read(path)
    return len(files)


def _read(path: Path) -> None:
    if path.suffix == ".safetensors":
        assert load_file(path), path
    elif path.suffix == ".json":
        assert json.loads(path.read_text()), path
    elif path.suffix == ".jsonl":
        assert all(json.loads(line) for line in path.read_text().splitlines()), path


def _without_passing(report: Path, folder: Path) -> Any:
    said = json.loads(report.read_text().replace(str(folder), "FOLDER"))
    return _drop_passing(said["result"])


def _drop_passing(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _drop_passing(inner) for key, inner in value.items() if not _passes(key)}
    return [_drop_passing(inner) for inner in value] if isinstance(value, list) else value


def _passes(key: str) -> bool:
    return key in _PASSING or "seconds" in key or "memory" in key or "per_second" in key or "disk" in key


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def share(kills: int) -> Sequence[tuple[str, int]]:
    """Return how many kills each command takes of so many: compare, whose cells are the other two, every tenth."""
    compared = max(1, kills // 10)
    transferred = (kills - compared) // 2
    return (("transfer", transferred), ("train", kills - compared - transferred), ("compare", compared))

"""Cells of an experiment: `tlv` commands that are run once, and tables of mean and spread over the seeds."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.measure import show
from benchmarks.real_data import default_root

_RESULTS = Path(__file__).resolve().parents[1] / "results"


@dataclass(frozen=True)
class Settings:
    """What every experiment is given; `out` keeps each cell, and a second start goes on where the first one ended."""

    name: str
    data: Path
    out: Path
    num_seeds: int
    quick: bool

    def seeds(self) -> range:
        """Return 0, 1, ... in full."""
        return range(self.num_seeds)

    def pick(self, full: int, quick: int) -> int:
        """Return the size that the run asks for."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """One seed of one variant; `values` are figures by name, as `test top-1`."""

    variant: str
    seed: int
    values: Mapping[str, float] = field(default_factory=dict)


def experiment(name: str, description: str, measure: Callable[[Settings], list[Row]], *, num_seeds: int) -> None:
    """Read the command line, measure, print the table and write it to benchmarks/results/NAME.json.

    The first variant is the one that differences are taken to.
    """
    settings = _read_settings(name, description, num_seeds)
    started = time.perf_counter()
    rows = measure(settings)
    minutes = (time.perf_counter() - started) / 60
    table = summarise(rows)
    show(f"{name}: mean ± standard deviation over {settings.num_seeds} seeds{' (quick)' * settings.quick}", table)
    _RESULTS.mkdir(exist_ok=True)
    found = {
        "quick": settings.quick,
        "seeds": settings.num_seeds,
        "minutes": round(minutes, 1),
        "table": table,
        "cells": [{"variant": row.variant, "seed": row.seed, **row.values} for row in rows],
    }
    (_RESULTS / f"{name}{'.quick' * settings.quick}.json").write_text(json.dumps(found, indent=1) + "\n")


def _read_settings(name: str, description: str, num_seeds: int) -> Settings:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default_root(), help="folder with the images, or their archives")
    parser.add_argument("--out", type=Path, help=f"folder of the runs; default: out/{name}")
    parser.add_argument("--seeds", type=int, default=num_seeds, help=f"how many; default: {num_seeds}")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, and nothing else")
    given = parser.parse_args()
    out = (given.out or Path("out", name)) / ("quick" if given.quick else "full")
    return Settings(name, given.data, out, given.seeds, given.quick)


def tlv(report: Path, *arguments: str | Path) -> dict[str, Any]:
    """Run `tlv ARGUMENTS --report REPORT` and return the report; a command that has run before is not run again.

    What a command read may have been made anew since: start afresh with another folder.

    Raises:
        RuntimeError: the command failed, with what it wrote to standard error.
    """
    command = [*map(str, arguments), "--report", str(report), "--quiet", "--force"]
    done = report.with_suffix(".command")
    line = shlex.join(["tlv", *command])
    if not (report.is_file() and done.is_file() and done.read_text() == line):
        print(line, file=sys.stderr, flush=True)
        report.parent.mkdir(parents=True, exist_ok=True)
        # Cells know nothing of one another: what a frozen backbone gives is computed anew, or times would not compare.
        environment = {**os.environ, "TLV_CACHE": str(report.parent / "cache")}
        ended = subprocess.run(
            [sys.executable, "-m", "tlvcli", *command], capture_output=True, text=True, check=False, env=environment
        )
        if ended.returncode:
            raise RuntimeError(f"{line}\nended with {ended.returncode}:\n{ended.stderr}")
        done.write_text(line)
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def train(cell: Path, checkpoint: str | Path, data: str | Path, *arguments: str | Path) -> dict[str, Any]:
    """Train into CELL/run and return the report."""
    # The run folder keeps a report of its own; this one is written when all is done.
    return tlv(cell / "train.json", "train", checkpoint, "--data", data, "--out", cell / "run", *arguments)


def top1_of(cell: Path, data: str | Path, *, which: str = "best") -> float:
    """Return the top-1 accuracy of CELL/run's `best` or `last` checkpoint."""
    checkpoint = cell / "run" / f"{which}.safetensors"
    report = tlv(cell / f"{which}.json", "eval", checkpoint, "--data", data, "--batch-size", "128")
    return float(report["result"]["top1"])


def summarise(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return a row per variant: mean and sample standard deviation of each figure, and of its difference by seed."""
    variants = list(dict.fromkeys(row.variant for row in rows))
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    found = {(row.variant, row.seed, name): value for row in rows for name, value in row.values.items()}
    seeds = sorted({row.seed for row in rows})
    first = variants[0]
    table = []
    for variant in variants:
        line: dict[str, Any] = {"variant": variant}
        for name in names:
            values = [found[variant, seed, name] for seed in seeds if (variant, seed, name) in found]
            line[name] = _with_spread(values)
        differences = [
            found[variant, seed, names[0]] - found[first, seed, names[0]]
            for seed in seeds
            if (variant, seed, names[0]) in found and (first, seed, names[0]) in found
        ]
        line[f"difference to {first}"] = None if variant == first else _with_spread(differences, sign="+")
        table.append(line)
    return table


def _with_spread(values: Sequence[float], sign: str = "") -> str | None:
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):{sign}.3f} ± {spread:.3f}"

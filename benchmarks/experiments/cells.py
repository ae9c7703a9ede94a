"""Cells of an experiment: `tlv` commands that are run once, and tables of mean and spread over the seeds."""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks.measure import show
from benchmarks.real_data import default_root

V = TypeVar("V")
_RESULTS = Path(__file__).resolve().parents[1] / "results"


class CommandError(RuntimeError):
    """A command that `tlv` refused, or failed at; the text is the line that says why."""


@dataclass(frozen=True)
class Settings:
    """What every experiment is given; `out` keeps each cell, and a second start goes on where the first one ended."""

    name: str
    data: Path
    out: Path
    num_seeds: int
    quick: bool
    jobs: int

    def seeds(self) -> range:
        """Return 0, 1, ... in full."""
        return range(self.num_seeds)

    def pick(self, full: int, quick: int) -> int:
        """Return the size that the run asks for."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """One seed of one variant; `values` are figures by name, as `test top-1`, and none where `failed` says why."""

    variant: str
    seed: int
    values: Mapping[str, float] = field(default_factory=dict)
    failed: str | None = None


def experiment(name: str, description: str, measure: Callable[[Settings], list[Row]], *, num_seeds: int) -> None:
    """Read the command line, measure, print the table and write it to benchmarks/results/NAME.json."""
    settings = settings_of(name, settings_parser(name, description, num_seeds).parse_args())
    started = time.perf_counter()
    rows = measure(settings)
    conclude(settings, rows, minutes=(time.perf_counter() - started) / 60)


def settings_parser(name: str, description: str, num_seeds: int) -> argparse.ArgumentParser:
    """Return a parser of the flags that all experiments have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=default_root(), help="folder with the images, or their archives")
    parser.add_argument("--out", type=Path, default=Path("out", name), help=f"folder of the runs; default: out/{name}")
    parser.add_argument("--seeds", type=int, default=num_seeds, help=f"how many; default: {num_seeds}")
    parser.add_argument("--jobs", type=int, default=1, help="cells at once; if several, each has one thread")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: shows that it runs, and nothing else")
    return parser


def settings_of(name: str, given: argparse.Namespace) -> Settings:
    """Return what the flags of `settings_parser` say."""
    out = given.out / ("quick" if given.quick else "full")
    return Settings(name, given.data, out, given.seeds, given.quick, given.jobs)


def measure_cells(
    settings: Settings, variants: Mapping[str, V], measure: Callable[[Path, V, int], Mapping[str, float]]
) -> list[Row]:
    """Return a row for each seed and variant; `measure` is given a cell's folder, the variant's value and the seed.

    Seed by seed: a run that is stopped has all variants of the seeds that it came to. A cell that fails keeps no other
    from being measured.
    """
    if settings.jobs > 1:
        os.environ["OMP_NUM_THREADS"] = "1"

    def row_of(cell: tuple[int, str]) -> Row:
        seed, variant = cell
        folder = settings.out / re.sub(r"[^\w.=+]+", "-", variant) / f"seed{seed}"
        try:
            row = Row(variant, seed, measure(folder, variants[variant], seed))
        except CommandError as error:
            row = Row(variant, seed, failed=str(error))
        said = row.failed or ", ".join(f"{name} {value:.4g}" for name, value in row.values.items())
        print(f"{variant}, seed {seed}: {said}", file=sys.stderr, flush=True)
        return row

    with ThreadPoolExecutor(settings.jobs) as pool:
        return list(pool.map(row_of, [(seed, variant) for seed in settings.seeds() for variant in variants]))


def conclude(settings: Settings, rows: Sequence[Row], *, minutes: float) -> None:
    """Print the table of the rows, and write both to benchmarks/results/NAME.json.

    The first variant is the one that differences are taken to.
    """
    table = summarise(rows)
    title = f"{settings.name}{' (quick)' * settings.quick}: mean ± standard deviation over {settings.num_seeds} seeds"
    show(title, table)
    failures = dict.fromkeys(f"{row.variant}: {row.failed}" for row in rows if row.failed)
    print("".join(f"\n{failure}" for failure in failures))
    _RESULTS.mkdir(exist_ok=True)
    found = {
        "quick": settings.quick,
        "seeds": settings.num_seeds,
        "minutes": round(minutes, 1),
        "table": table,
        "cells": [_describe(row) for row in rows],
    }
    path = _RESULTS / f"{settings.name}{'.quick' * settings.quick}.json"
    path.write_text(json.dumps(found, indent=1) + "\n")


def _describe(row: Row) -> dict[str, Any]:
    why = {"failed": row.failed} if row.failed else {}
    return {"variant": row.variant, "seed": row.seed, **row.values, **why}


def tlv(report: Path, *arguments: str | Path) -> dict[str, Any]:
    """Run `tlv ARGUMENTS --report REPORT` and return the report; a command that has run before is not run again.

    What a command read may have been made anew since: start afresh with another folder.

    Raises:
        CommandError: exit status other than 0; what the command said goes to standard error.
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
            print(ended.stderr, file=sys.stderr, flush=True)
            raise CommandError(next((said for said in ended.stderr.splitlines() if said.startswith("error")), line))
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
    first, figure = variants[0], names[0] if names else ""
    table = []
    for variant in variants:
        line: dict[str, Any] = {"variant": variant}
        for name in names:
            values = [found[variant, seed, name] for seed in seeds if (variant, seed, name) in found]
            line[name] = _with_spread(values)
        differences = [
            found[variant, seed, figure] - found[first, seed, figure]
            for seed in seeds
            if (variant, seed, figure) in found and (first, seed, figure) in found
        ]
        line[f"difference to {first}"] = None if variant == first else _with_spread(differences, sign="+")
        table.append(line)
    return table


def _with_spread(values: Sequence[float], sign: str = "") -> str | None:
    if not values:
        return None
    spread = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):{sign}.3f} ± {spread:.3f}"

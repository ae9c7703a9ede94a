"""Experiments that are a grid: `tlv compare` runs its cells, several at once, and goes on where it was stopped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.experiments.cells import Settings
from benchmarks.measure import show

_RESULTS = Path(__file__).resolve().parents[1] / "results"


def compare(settings: Settings, out: Path, *arguments: str | Path | int) -> dict[str, Any]:
    """Run `tlv compare ARGUMENTS` into OUT, or what is left of it, and return its result; it tells of failed cells."""
    out.parent.mkdir(parents=True, exist_ok=True)
    command = ("compare", *arguments, "--out", out, "--seeds", settings.num_seeds, "--jobs", settings.jobs)
    ended = subprocess.run([sys.executable, "-m", "tlvcli", *map(str, command), "--keep", "none"], check=False)
    if ended.returncode > 1:
        raise SystemExit(ended.returncode)
    found: dict[str, Any] = json.loads((out / "compare.json").read_text())["result"]
    return found


def conclude(settings: Settings, results: Mapping[str, dict[str, Any]]) -> None:
    """Print a table for each of the named results, and write all to benchmarks/results/NAME.json."""
    tables = {}
    for words, result in results.items():
        tables[words] = _table_of(result)
        title = f"{settings.name}, {words}: val top-1, mean ± standard deviation over {settings.num_seeds} seeds"
        show(title, tables[words])
    _RESULTS.mkdir(exist_ok=True)
    path = _RESULTS / f"{settings.name}{'.quick' * settings.quick}.json"
    path.write_text(json.dumps({"seeds": settings.num_seeds, **tables}, indent=1) + "\n")


def _table_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each variant: mean ± spread of val top-1 by epoch, and of the test images."""
    return [
        {
            "variant": variant["name"],
            **{f"epoch {point['epoch']}": _spread(point["mean"], point["spread"]) for point in variant["curve"]},
            "test": _spread(variant["test"]["mean"], variant["test"]["spread"]) if variant["test"] else None,
        }
        for variant in result["variants"]
    ]


def _spread(mean: float, spread: float | None) -> str:
    return f"{mean:.3f}" if spread is None else f"{mean:.3f} ± {spread:.3f}"

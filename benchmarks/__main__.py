"""`python -m benchmarks [NAME ...]`: run them all, or those named; JSON goes to benchmarks/results/."""

from __future__ import annotations

import json
import platform
import sys
from importlib import import_module
from pathlib import Path

NAMES = ("start_up", "inspect", "recognition", "transfer", "training", "evaluation", "statistics", "similarity")


def main(names: list[str]) -> None:
    """Run the named benchmarks and write what they measured."""
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    for name in names or NAMES:
        rows = import_module(f"benchmarks.{name}").run()
        machine = {"python": platform.python_version(), "machine": platform.machine()}
        (folder / f"{name}.json").write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


main(sys.argv[1:])

"""How long a user waits for `--help`, and for `inspect` of a large file; beside a bare interpreter."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import processes, show


def run() -> list[dict[str, Any]]:
    """Measure, print and return the rows."""
    import torch
    from safetensors.torch import save_file

    with tempfile.TemporaryDirectory() as folder:
        large = Path(folder) / "large.safetensors"
        save_file({f"layer{number}.weight": torch.zeros(1250, 1000) for number in range(100)}, large)
        commands = {
            "python -c pass": ["-c", "pass"],
            "import typer": ["-c", "import typer"],
            "tlv --help": ["-m", "tlvcli", "--help"],
            "tlv inspect, 500 MB safetensors": ["-m", "tlvcli", "inspect", str(large)],
            "tlv inspect --json": ["-m", "tlvcli", "inspect", str(large), "--json"],
        }
        measured = processes(commands)
    floor = measured["python -c pass"].seconds
    rows = [
        {"command": name, "seconds": one.seconds, "ratio": one.seconds / floor, "peak MB": one.peak_mb}
        for name, one in measured.items()
    ]
    show("Start-up (ratio to a bare interpreter)", rows)
    return rows

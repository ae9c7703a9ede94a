"""Kill transfers, trainings and comparisons at random moments: `python -m tests.faults --kills 100 --seed 0`."""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from pathlib import Path


def main() -> None:
    """Print a line for each command; a loss ends with a traceback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    os.environ["TLV_TRUST_ARCHITECTURES"] = "1"
    with tempfile.TemporaryDirectory() as root:
        os.environ["TLV_CACHE"] = str(Path(root) / "cache")
        import torch

        torch.set_num_threads(1)
        from tests.faults.kills import KILLERS, share, warm_up

        (Path(root) / "warm").mkdir()
        warm_up(Path(root) / "warm")
        for command, kills in share(given.kills):
            folder = Path(root) / command
            folder.mkdir()
            done = KILLERS[command](folder, kills, random.Random(f"{given.seed} {command}"))
            figures = f"{done.kills} kills, {done.runs} runs, {done.files_looked_at} files looked at"
            print(f"{command}: {figures}, nothing lost, {done.seconds:.0f} s", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()

"""Damage valid files for some time: `python -m tests.fuzz --seconds 60 --seed 0 [--target plan]`."""

from __future__ import annotations

import argparse
import faulthandler
import resource
import tempfile
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.seeds import Seed
from tests.fuzz.targets import Target, damaged_files, let_read, targets

_ROUND = 200
_MOST_SECONDS = 30  # for one file; a reader that takes longer hangs
_MOST_BYTES = 12 << 30


def search(target: Target, number: int, folder: Path) -> Counter[str]:
    """Read a round of damaged files, drawn from the seed `number`, and count what came of them.

    The smallest file that lets out anything but a TlvError is shown, and what it lets out is raised.
    """
    outcomes: Counter[str] = Counter()

    @seed(number)
    @settings(
        max_examples=_ROUND,
        deadline=None,
        database=None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged_files(target))
    def read(drawn: tuple[Seed, bytes]) -> None:
        damaged_from, content = drawn
        faulthandler.dump_traceback_later(_MOST_SECONDS, exit=True)
        outcomes[let_read(target, target.file_name(damaged_from), content, folder)] += 1
        faulthandler.cancel_dump_traceback_later()

    read()
    return outcomes


def main() -> None:
    """Search all targets in turn until the time is over."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--target", choices=sorted(targets()))
    arguments = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (_MOST_BYTES, _MOST_BYTES))
    chosen = [targets()[arguments.target]] if arguments.target else list(targets().values())
    counts: dict[str, Counter[str]] = {target.name: Counter() for target in chosen}
    until, number = time.monotonic() + arguments.seconds, arguments.seed
    with tempfile.TemporaryDirectory() as name:
        for target in chosen:
            target.prepare(Path(name))
        while time.monotonic() < until:
            for target in chosen:
                counts[target.name] += search(target, number, Path(name))
            number += 1
    for reader, outcomes in counts.items():
        read = outcomes.pop("", 0)
        ids = ", ".join(f"{error_id} {times}" for error_id, times in outcomes.most_common())
        print(f"{reader}: {read + outcomes.total()} files, {read} read, {outcomes.total()} refused ({ids})")  # noqa: T201
    print(f"seeds {arguments.seed} to {number - 1}: nothing but TlvErrors")  # noqa: T201


if __name__ == "__main__":
    main()

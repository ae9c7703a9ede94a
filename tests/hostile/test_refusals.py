"""Every hostile file is refused with exit 2, runs nothing, and costs at most 200 MB and a second of the processor."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.hostile.archives import harmless_climbing
from tests.hostile.corpus import all_cases
from tests.hostile.driver import HONEST, Refusal
from tlvcli.io.checkpoint import open_checkpoint

CASES = all_cases()
MOST_MEGABYTES, MOST_SECONDS = 200, 1.0

pytestmark = pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peak memory is read from /proc")


@pytest.fixture(scope="module")
def refusals(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Refusal]:
    root = Path(__file__).resolve().parents[2]
    folder = tmp_path_factory.mktemp("hostile")
    done = subprocess.run(
        [sys.executable, "-m", "tests.hostile.driver", str(folder)],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    found = (Refusal(**json.loads(line)) for line in done.stdout.splitlines())
    return {refusal.name: refusal for refusal in found}


@pytest.mark.parametrize("name", CASES)
def test_refused_at_little_cost(refusals: dict[str, Refusal], name: str) -> None:
    refusal, case = refusals[name], CASES[name]
    assert not refusal.ran
    assert (refusal.exit_code, refusal.error_id in case.error_ids) == (2, True), refusal
    assert refusal.imported_torch == case.needs_torch
    assert refusal.megabytes < MOST_MEGABYTES, refusal
    assert refusal.seconds < MOST_SECONDS, refusal


def test_an_honest_file_is_read_in_the_same_process(refusals: dict[str, Refusal]) -> None:
    honest = refusals[HONEST]
    assert (honest.exit_code, honest.error_id) == (0, "")
    assert len(refusals) == len(CASES) + 1


def test_names_that_climb_unpack_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c" / "d"
    folder.mkdir(parents=True)
    path = harmless_climbing(folder)
    assert open_checkpoint(path).read("w").tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert [file for file in tmp_path.rglob("*") if file.is_file()] == [path]

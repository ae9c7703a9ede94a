"""A short search of each reader, the same one every time, and what longer ones have found."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.fuzz.found import FOUND, Found
from tests.fuzz.seeds import Seed
from tests.fuzz.targets import damaged_files, let_read, targets

EXAMPLES = 60


@pytest.mark.parametrize("name", ["checkpoint", "plan", "mask", "config", "report"])
def test_readers_let_out_nothing_but_errors_of_ours(tmp_path: Path, name: str) -> None:
    target = targets()[name]
    target.prepare(tmp_path)
    outcomes: Counter[str] = Counter()

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(damaged_files(target))
    def read(drawn: tuple[Seed, bytes]) -> None:
        damaged_from, content = drawn
        outcomes[let_read(target, target.file_name(damaged_from), content, tmp_path)] += 1

    read()
    assert outcomes.total() >= EXAMPLES
    # The reader of reports takes what is damaged for no report, and says nothing.
    assert name == "report" or len(outcomes) >= 2, outcomes


@pytest.mark.parametrize("name", ["checkpoint", "plan", "mask", "config", "report"])
def test_what_is_damaged_was_valid(tmp_path: Path, name: str) -> None:
    target = targets()[name]
    target.prepare(tmp_path)
    for seed in target.seeds:
        assert let_read(target, target.file_name(seed), seed.wrap(seed.data), tmp_path) == "", seed.name


@pytest.mark.parametrize("found", FOUND, ids=lambda found: found.what)
def test_what_was_found_stays_mended(tmp_path: Path, found: Found) -> None:
    target = targets()[found.reader]
    target.prepare(tmp_path)
    assert let_read(target, found.file_name, found.content(), tmp_path) == found.error_id

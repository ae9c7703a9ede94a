"""`kill -9` at any moment: the old file or the new one, and a run that goes on as if nothing had been."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.faults.conftest import Place
from tests.faults.kills import KILLERS, share
from tlvcli.core.errors import TlvError
from tlvcli.pipelines.comparing.folder import CompareFolder


@pytest.mark.usefixtures("place")
@pytest.mark.parametrize(("command", "kills"), [("transfer", 3), ("train", 2)])
def test_a_few_kills_lose_nothing(tmp_path: Path, command: str, kills: int) -> None:
    survived = KILLERS[command](tmp_path, kills, random.Random(0))
    assert survived.kills == kills


@pytest.mark.slow
@pytest.mark.parametrize(("command", "kills"), share(100))
def test_a_hundred_kills_lose_nothing(place: Place, tmp_path: Path, command: str, kills: int) -> None:
    assert place.path.is_dir()
    assert KILLERS[command](tmp_path, kills, random.Random(1)).kills == kills


def test_a_comparison_that_was_killed_before_its_grid_was_written_begins_again(tmp_path: Path) -> None:
    folder = CompareFolder(tmp_path)
    (tmp_path / ".grid.json.0123abcd.tmp").write_text("{")
    folder.lock_path.touch()
    folder.refuse_other(force=False)
    with folder.held():
        assert list(tmp_path.iterdir()) == [folder.lock_path]
    (tmp_path / "notes.txt").touch()
    with pytest.raises(TlvError, match="is not empty"):
        folder.refuse_other(force=False)

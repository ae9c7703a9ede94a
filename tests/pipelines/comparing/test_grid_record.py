"""A comparison's folder: it may grow, not become another, and one process at a time may write to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.folder import CompareFolder
from tlvcli.pipelines.comparing.grid_record import GridRecord, make_record, read_grid, refuse_other_grid, write_grid

FILES = {"source a.pth": "1" * 64, "the val images": "2" * 64}


def _record(files: dict[str, str] | None = None, **given: Any) -> GridRecord:
    usual = {"source": "a.pth", "target_arch": "resnet18", "data": "digits", "out": "cmp", "methods": "he,tlv"}
    return make_record(CompareConfig(**{**usual, "grid": ["lr=0.1,0.01"], **given}), files or FILES)


@pytest.fixture
def folder(tmp_path: Path) -> CompareFolder:
    """A comparison that was begun."""
    folder = CompareFolder(tmp_path / "cmp")
    folder.begin()
    write_grid(folder, _record())
    return folder


@pytest.mark.parametrize(
    "grown",
    [
        {},
        {"seeds": 5},
        {"methods": "he,tlv,coherent"},
        {"strategies": "full,two-rate"},
        {"grid": ["lr=0.1,0.01,0.001"]},
        {"jobs": 2, "keep": "none", "baseline": "tlv", "out": "elsewhere"},
        {"source": ["a.pth", "b.pth"], "files": {**FILES, "source b.pth": "3" * 64}},
    ],
)
def test_a_grid_may_grow(folder: CompareFolder, grown: dict[str, Any]) -> None:
    then = read_grid(folder)
    assert then == _record()
    refuse_other_grid(folder, then, _record(**grown))


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"epochs": 7}, "epochs was not given and would be 7"),
        ({"methods": "he"}, "methods had tlv"),
        ({"seeds": 2}, "seeds were 3"),
        ({"grid": ["lr=0.1"]}, "--grid train.lr had 0.01"),
        ({"grid": ["lr=0.1,0.01", "mixup=0,0.2"]}, "--grid train.mixup was not there"),
        ({"grid": []}, "--grid train.lr was 0.1, 0.01"),
        ({"train": {"mixup": 0.2}}, "train.mixup was not given and would be 0.2"),
        ({"data": "digits@train:500"}, "data was digits and would be digits@train:500"),
        ({"files": {**FILES, "the val images": "9" * 64}}, "the val images have changed since"),
    ],
)
def test_another_grid_is_refused_by_its_differences(folder: CompareFolder, other: dict[str, Any], said: str) -> None:
    then = read_grid(folder)
    assert then is not None
    with pytest.raises(TlvError) as caught:
        refuse_other_grid(folder, then, _record(**other))
    assert caught.value.error_id == "compare-differs"
    assert said in caught.value.message


def test_default_methods_are_those_of_the_grid() -> None:
    assert _record(methods=None) == _record(methods="he,tlv,dpiat,coherent")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(TlvError) as caught:
        CompareFolder(tmp_path).refuse_other(force=False)
    assert caught.value.error_id == "output-exists"
    CompareFolder(tmp_path).refuse_other(force=True)
    (tmp_path / "cells").mkdir()  # which beginning anew would clear
    with pytest.raises(TlvError) as caught:
        CompareFolder(tmp_path).refuse_other(force=True)
    assert caught.value.error_id == "output-exists"
    with pytest.raises(TlvError) as caught:
        CompareFolder(tmp_path / "no" / "where").refuse_other(force=False)
    assert caught.value.error_id == "output-folder-missing"


def test_beginning_anew_clears_the_cells_and_nothing_else(folder: CompareFolder) -> None:
    (folder.cells_path / "a").mkdir(parents=True)
    (folder.path / "notes.txt").write_text("mine")
    folder.begin()
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def test_a_broken_record_is_no_grid(folder: CompareFolder) -> None:
    folder.grid_path.write_text("{")
    with pytest.raises(TlvError) as caught:
        read_grid(folder)
    assert caught.value.error_id == "compare-invalid"


def test_one_at_a_time_holds_a_folder(folder: CompareFolder) -> None:
    with folder.held(), pytest.raises(TlvError) as caught, folder.held():
        pass
    assert caught.value.error_id == "compare-running"
    with folder.held():  # it was let go of
        pass

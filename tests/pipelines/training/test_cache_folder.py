"""Where what can be computed again is kept, and how much of it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tlvcli.pipelines.training import cache_folder as cache_folder_module
from tlvcli.pipelines.training.cache_folder import cache_folder, make_room, mark_used


def test_where_the_folder_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TLV_CACHE", str(tmp_path / "own"))
    assert cache_folder("features") == tmp_path / "own" / "features"
    monkeypatch.delenv("TLV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder("features") == tmp_path / "tlv" / "features"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder("features") == tmp_path / ".cache" / "tlv" / "features"


def test_the_files_used_least_recently_go_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache_folder_module, "MOST_BYTES", 100)
    files = [tmp_path / f"{name}.safetensors" for name in "abc"]
    for age, file in enumerate(files):
        file.write_bytes(bytes(30))
        os.utime(file, (age + 1, age + 1))
    (tmp_path / "of_another.txt").write_bytes(bytes(500))
    mark_used(files[0])
    make_room(tmp_path, 10)
    assert all(file.exists() for file in files)
    make_room(tmp_path, 40)
    assert [file.exists() for file in files] == [True, False, True]
    assert (tmp_path / "of_another.txt").exists()

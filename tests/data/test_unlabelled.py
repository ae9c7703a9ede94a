from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.data.unlabelled import open_unlabelled

WriteClasses = Callable[[Path, dict[str, int]], Path]


def test_images_at_any_depth(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path, {"b": 1, "a/deep": 2})
    (tmp_path / "b" / "000.png").rename(tmp_path / "top.png")
    (tmp_path / "notes.txt").touch()
    dataset = open_unlabelled(tmp_path)
    assert [dataset.where(position) for position in range(3)] == [
        str(tmp_path / file) for file in ("top.png", "a/deep/000.png", "a/deep/001.png")
    ]
    assert (dataset.class_names, dataset.labels) == (("",), (0, 0, 0))
    assert dataset.read(2, channels=3).size == (20, 16)
    assert dataset.warnings == (f"{tmp_path}: left out 1 file, no images by suffix, as {tmp_path}/notes.txt",)


def test_folders_without_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    for folder, error_id in (
        (tmp_path, "data-no-images"),
        (tmp_path / "nowhere", "data-missing"),
        (tmp_path / "notes.txt", "data-missing"),
    ):
        with pytest.raises(TlvError) as caught:
            open_unlabelled(folder)
        assert caught.value.error_id == error_id

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.data.named_images import name_images

WriteClasses = Callable[[Path, dict[str, int]], Path]


@pytest.fixture
def folder(tmp_path: Path, write_classes: WriteClasses) -> Path:
    write_classes(tmp_path, {"b": 2, "a/deep": 1})
    (tmp_path / "b" / "notes.txt").touch()
    return tmp_path


def _named(folder: Path, *names: str, listed: tuple[str, ...] = ()) -> list[str]:
    inside = (name if name == "-" else str(folder / name) for name in names)
    dataset = name_images(inside, listed)
    return [dataset.where(position).removeprefix(f"{folder}/") for position in range(len(dataset))]


def test_images_come_in_the_order_of_their_names(folder: Path) -> None:
    named = _named(folder, "b/001.png", "a", "-", "b", listed=("not/there.png", "b/notes.txt"))
    assert named == ["b/001.png", "a/deep/000.png", "not/there.png", "b/notes.txt", "b/000.png", "b/001.png"]


def test_a_pattern_takes_the_images_that_it_matches(folder: Path) -> None:
    assert _named(folder, "**/*.png") == ["a/deep/000.png", "b/000.png", "b/001.png"]
    dataset = name_images([f"{folder}/b/*"], ())
    assert len(dataset) == 2
    assert dataset.warnings == (f"{folder}/b/*: left out 1 file, no images by suffix",)


def test_a_file_may_be_called_like_a_pattern(folder: Path) -> None:
    (folder / "b" / "000.png").rename(folder / "a[1].jpg")
    assert _named(folder, "a[1].jpg") == ["a[1].jpg"]


@pytest.mark.parametrize(
    ("name", "error_id"),
    [("gone.png", "image-missing"), ("*.jpg", "image-missing"), ("empty", "data-no-images"), ("-", "data-no-images")],
)
def test_names_that_stand_for_nothing(folder: Path, name: str, error_id: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(TlvError) as caught:
        _named(folder, name)
    assert caught.value.error_id == error_id


@pytest.mark.parametrize("kind", ["pipe", "folder", "device"])
def test_what_is_no_file_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    path = Path("/dev/zero") if kind == "device" else tmp_path / "odd.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    dataset = name_images(["-"], [str(path)])
    with pytest.raises(TlvError, match="it is no regular file"):
        dataset.read(0, channels=3)


def test_an_identity_tells_images_apart(folder: Path) -> None:
    dataset = name_images([str(folder / "b")], ())
    assert dataset.source.identity(0) != dataset.source.identity(1)


@pytest.mark.parametrize("pattern", ["**", "**/*.png", "**/**/0*", "**/deep/*", "./**/b/*.png", "*/*.png"])
def test_a_pattern_of_any_depth_enters_a_folder_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, pattern: str
) -> None:
    (folder / "b" / ".hidden.png").touch()
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "0.png").touch()
    monkeypatch.chdir(folder)
    expected = sorted({name for name in glob.glob(pattern, recursive=True) if name.endswith(".png")})  # noqa: PTH207
    assert expected
    # Each of these alone doubles what glob finds, forty times over.
    for link in ("a/up", "a/deep/up", "b/back"):
        Path(link).symlink_to(folder)
    dataset = name_images([pattern], ())
    assert [dataset.where(position) for position in range(len(dataset))] == expected
    assert _named(folder, pattern) == [str(Path(name)) for name in expected]


def test_a_pattern_may_name_a_link(folder: Path) -> None:
    (folder / "b" / "back").symlink_to(folder)
    (folder / "odd [*]").mkdir()
    (folder / "b" / "001.png").rename(folder / "odd [*]" / "1.png")
    assert _named(folder, "**/back/a/**/*.png") == ["b/back/a/deep/000.png"]
    assert _named(folder, "**/1.png") == ["odd [*]/1.png"]

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tlvcli.core.errors import TlvError
from tlvcli.data.datasets import open_dataset
from tlvcli.data.digits import DigitImages
from tlvcli.data.fingerprint import fingerprint
from tlvcli.data.reference import parse_data_reference

WriteClasses = Callable[[Path, dict[str, int]], Path]


def _of(folder: Path) -> str:
    return fingerprint(open_dataset(parse_data_reference(str(folder)), "all"))


def test_a_copy_elsewhere_is_the_same(
    tmp_path: Path, write_classes: WriteClasses, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_classes(tmp_path / "here", {"ant": 2, "bee": 2})
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    first = _of(tmp_path / "here")
    assert len(first) == 64
    assert _of(tmp_path / "there") == first
    monkeypatch.chdir(tmp_path / "there")
    assert _of(Path()) == first
    monkeypatch.chdir(tmp_path / "there" / "ant")
    assert _of(Path("..")) == first


def test_whatever_changes_shows(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path, {"ant": 2, "bee": 2})
    seen = {_of(tmp_path)}
    with (tmp_path / "ant" / "000.png").open("ab") as stream:
        stream.write(b"\0")
    seen.add(_of(tmp_path))
    (tmp_path / "ant" / "000.png").rename(tmp_path / "ant" / "002.png")
    seen.add(_of(tmp_path))
    (tmp_path / "ant" / "002.png").rename(tmp_path / "bee" / "002.png")
    seen.add(_of(tmp_path))
    (tmp_path / "bee").rename(tmp_path / "wasp")
    seen.add(_of(tmp_path))
    dataset = open_dataset(parse_data_reference(str(tmp_path)), "all")
    seen |= {fingerprint(dataset.subset([0, 1])), fingerprint(dataset.subset([1, 0]))}
    seen.add(fingerprint(replace(dataset, labels=dataset.labels[::-1])))
    assert len(seen) == 8


@pytest.mark.parametrize(("size", "place"), [(100, 50), (5000, 4500), (20_000, 10), (20_000, 19_990)])
def test_another_image_of_the_same_size_shows(
    tmp_path: Path, write_classes: WriteClasses, size: int, place: int
) -> None:
    write_classes(tmp_path, {"ant": 1, "bee": 1})
    file = tmp_path / "ant" / "000.png"
    file.write_bytes(bytes(size))
    before, times = _of(tmp_path), file.stat()
    file.write_bytes(bytes(place) + b"x" + bytes(size - place - 1))
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert _of(tmp_path) != before
    file.write_bytes(bytes(size))
    assert _of(tmp_path) == before


def test_pixels_in_memory_count() -> None:
    digits = open_dataset(parse_data_reference("digits"), "val")
    assert isinstance(digits.source, DigitImages)
    pixels = digits.source.pixels.copy()
    assert fingerprint(replace(digits, source=DigitImages(pixels))) == fingerprint(digits)
    pixels[digits.indices[3], 0, 0] ^= np.uint8(1)
    assert fingerprint(replace(digits, source=DigitImages(pixels))) != fingerprint(digits)


def test_a_file_that_has_gone_is_named(tmp_path: Path, write_classes: WriteClasses) -> None:
    write_classes(tmp_path, {"ant": 1, "bee": 1})
    dataset = open_dataset(parse_data_reference(str(tmp_path)), "all")
    (tmp_path / "bee" / "000.png").unlink()
    with pytest.raises(TlvError, match=r"bee/000\.png") as caught:
        fingerprint(dataset)
    assert caught.value.error_id == "image-unreadable"

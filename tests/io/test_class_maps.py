"""Class maps in three formats, and what is wrong with others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.io.class_maps import read_class_map


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("map.json", '{"ants": 310, "big-bees": "bee"}', {"ants": 310, "big-bees": "bee"}),
        ("map.yaml", "ants: ant\n309: n02206856\n", {"ants": "ant", "309": "n02206856"}),
        ("map.csv", "folder,class\nants,310\nbees, bee\n\n", {"ants": "310", "bees": "bee"}),
        ("map.csv", 'ants,"ant, red"\n', {"ants": "ant, red"}),
    ],
)
def test_formats(tmp_path: Path, name: str, text: str, expected: dict[str, str | int]) -> None:
    (tmp_path / name).write_text(text)
    assert read_class_map(tmp_path / name) == expected


@pytest.mark.parametrize(
    ("name", "text", "error_id", "says"),
    [
        ("map.yaml", "ants: [1, 2]\n", "class-map-invalid", r"ants is mapped to \[1, 2\]"),
        ("map.yaml", "ants: true\n", "class-map-invalid", "ants is mapped to True"),
        ("map.yaml", "- ants\n", "class-map-invalid", "holds no mapping"),
        ("map.json", '{"ants": ', "class-map-unreadable", "neither JSON nor YAML"),
        ("map.csv", "ants,1\nants,2\n", "class-map-invalid", "maps ants twice"),
        ("map.csv", "ants,1,2\n", "class-map-invalid", "row 1 has 3 columns"),
    ],
)
def test_what_is_no_map_is_refused(tmp_path: Path, name: str, text: str, error_id: str, says: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(TlvError, match=says) as caught:
        read_class_map(tmp_path / name)
    assert caught.value.error_id == error_id


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(TlvError, match="No such file") as caught:
        read_class_map(tmp_path / "map.json")
    assert caught.value.error_id == "class-map-unreadable"

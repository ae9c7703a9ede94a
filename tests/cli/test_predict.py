"""`tlv predict` as a shell sees it: streams, exit codes, the table."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tlvcli.cli.main import run

NETWORK = """
from torch import nn


def make(num_classes=12, in_chans=3):
    return nn.Sequential(nn.Conv2d(in_chans, 4, 3, stride=2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 12))

"""


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three images, one of them broken, beside `network.py`; the current folder is theirs."""
    noise = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in ("a", "b", "c"):
        pixels = noise.integers(0, 256, (20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    (tmp_path / "photos" / "b.png").write_bytes(b"no image")
    (tmp_path / "network.py").write_text(NETWORK)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def _predict(*arguments: str) -> int:
    small = ("--image-size", "16", "--device", "cpu", "--workers", "0")
    return run(["predict", "network.py:make@random", *arguments, *small])


@pytest.mark.usefixtures("photos")
def test_the_table_has_a_row_for_each_image(capsys: pytest.CaptureFixture[str]) -> None:
    assert _predict("photos", "--top", "2") == 1
    streams = capsys.readouterr()
    head, *rows = streams.out.splitlines()[:4]
    assert head.split() == ["image", "label", "probability", "then"]
    assert [row.split()[0] for row in rows] == ["photos/a.png", "photos/b.png", "photos/c.png"]
    assert rows[1].split()[1:] == ["not", "read"]
    assert [len(rows[number].split()) for number in (0, 2)] == [5, 5]
    assert streams.out.splitlines()[-1].startswith("3 images by network.py:make, ")
    assert "cannot read photos/b.png: UnidentifiedImageError" in streams.err
    assert streams.err.splitlines()[-1] == "not read: 1 of 3 images"


@pytest.mark.usefixtures("photos")
def test_lines_of_json_and_a_list_on_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"photos/c.png\nphotos/b.png\n")))
    assert _predict("-", "--jsonl", "--quiet") == 1
    streams = capsys.readouterr()
    good, bad = map(json.loads, streams.out.splitlines())
    assert list(good) == ["path", "label", "index", "probability", "top"]
    assert good["label"] == str(good["index"])
    assert set(bad) == {"path", "error"}
    assert streams.err == ""


@pytest.mark.usefixtures("photos")
def test_the_report_holds_every_prediction(capsys: pytest.CaptureFixture[str]) -> None:
    assert _predict("photos/a.png", "photos/c.png", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["schema"] == "tlv.predict/1"
    assert [one["path"] for one in report["result"]["predictions"]] == ["photos/a.png", "photos/c.png"]
    assert report["config"]["images"] == ["photos/a.png", "photos/c.png"]
    assert report["inputs"][1]["path"] == "photos/a.png and 1 more"


@pytest.mark.usefixtures("photos")
def test_files_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert _predict("photos/?.png", "--csv", "out.csv", "--verbose") == 1
    assert "wrote out.csv  sha256 " in capsys.readouterr().out
    assert Path("out.csv").read_text().splitlines()[0] == "path,prediction,probability,error"
    assert _predict("photos/a.png", "--features", "f.safetensors", "--quiet") == 0
    assert capsys.readouterr().out.startswith("features     1 x 4, before 3\n")


@pytest.mark.parametrize(
    ("arguments", "error_id"),
    [
        (["photos", "--json", "--jsonl"], "config-invalid"),
        (["gone.png"], "image-missing"),
        (["photos/a.png", "--report", "photos/a.png", "--force"], "output-is-input"),
    ],
)
@pytest.mark.usefixtures("photos")
def test_what_the_user_can_mend(capsys: pytest.CaptureFixture[str], arguments: list[str], error_id: str) -> None:
    assert _predict(*arguments) == 2
    streams = capsys.readouterr()
    assert streams.out == ""
    assert error_id in streams.err

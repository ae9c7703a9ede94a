"""`tlv eval --html` as a user sees it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tlvcli.cli.main import run

NETWORK = """
from torch import nn


def make(num_classes=10, in_chans=3):
    return nn.Sequential(nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(16 * in_chans, num_classes))
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    data = ["--data", "digits@test:60", "--image-size", "16", "--device", "cpu", "--quiet"]
    return ["eval", f"{tmp_path}/net.py:make@random", *data]


def test_the_page_says_what_the_report_says(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page, other = tmp_path / "page.html", f"{tmp_path}/net.py:make@random"
    flags = ["--html", str(page), "--json", "--min-accuracy", "0.99", "--worst", "3", "--against", other]
    assert run([*arguments, *flags]) == 1
    report = json.loads(capsys.readouterr().out)
    result, text = report["result"], page.read_text()
    assert [output["role"] for output in report["outputs"]] == ["page"]
    assert f'<div class="value">{result["top1"]:.2%}</div>' in text
    assert f'<div class="value">{result["loss"]:.4f}</div>' in text
    assert "✗ not met" in text
    assert text.count("<figure>") == 3
    found = {title: int(count) for title, count in re.findall(r"<title>(\d) found: (\d+) of", text)}
    classes = {each["name"]: each["found"] for each in result["classes"] if each["found"]}
    assert found == classes
    # The same network again: no image on which only one of them is right.
    assert "It changes the recall of no class." in text
    assert run([*arguments, "--html", str(page)]) == 2
    assert "output-exists" in capsys.readouterr().err

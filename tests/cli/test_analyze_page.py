"""`tlv analyze-stats --html` as a user sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tlvcli.cli.main import run

NETWORK = """
from torch import nn


class Tokens(nn.Module):
    def forward(self, maps):
        return maps.flatten(2).transpose(1, 2)


class Mean(nn.Module):
    def forward(self, tokens):
        return tokens.mean(1)


def make(num_classes=10, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 6, 4, stride=4), Tokens(), nn.Linear(6, 7), nn.GELU(), Mean(), nn.Linear(7, num_classes)
    )
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    data = ["--source", "digits@train:20", "--target", "digits@test:20", "--image-size", "16", "--splits", "20"]
    return ["analyze-stats", f"{tmp_path}/net.py:make@random", *data, "--device", "cpu", "--quiet"]


def test_the_page_is_named_on_the_screen(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.html"
    assert run([*arguments, "--html", str(page)]) == 0
    assert "page.html" in "".join(capsys.readouterr().out.split())
    assert page.read_text().startswith("<!DOCTYPE html>\n")
    assert run([*arguments, "--html", str(page)]) == 2
    assert "output-exists" in capsys.readouterr().err


def test_layers_of_tokens_have_distributions_but_no_maps(arguments: list[str], tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    assert run([*arguments, "--layers", "2", "--html", str(page)]) == 0
    text = page.read_text()
    assert text.count('class="distribution"') == 2
    assert 'alt="activation map"' not in text
    assert run([*arguments, "--layers", "0", "--html", str(page), "--force"]) == 0
    # Eight images for each of two kernels, and those that drive the shift of one: three of either set.
    assert page.read_text().count('alt="activation map"') == 22


def test_weights_alone_have_no_page(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["analyze-stats", arguments[1], "--weights", "--html", str(tmp_path / "page.html")]) == 2
    assert "html belongs to --source and --target or --against" in capsys.readouterr().err

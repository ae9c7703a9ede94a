"""`tlv analyze-stats` as a user sees it: a sentence, a row per layer, a bar, an exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tlvcli.cli.completers import complete_statistics
from tlvcli.cli.main import run
from tlvcli.methods.statistics.table import STATISTICS

NETWORK = """
from torch import nn

def make(num_classes=10, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 4, 3), nn.ReLU(), nn.Conv2d(4, 30, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(30, num_classes),
    )
"""


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    (tmp_path / "net.py").write_text(NETWORK)
    network = f"{tmp_path}/net.py:make@random"
    data = ["--source", "digits@train:60", "--target", "digits@test:40"]
    return ["analyze-stats", network, *data, "--device", "cpu", "--image-size", "16"]


def table(lines: list[str]) -> list[str]:
    """Return what stands between the two blocks of facts."""
    return lines[lines.index("") + 1 :]


def test_a_row_for_each_layer_within_80_columns(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*arguments, "--fraction", "1", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:3]] == ["network", "source", "target"]
    assert " ".join(lines[3].split()) == "shifted 34 of 34 kernels (100%)"
    assert " ".join(lines[4].split()) == "by depth first third of the layers 100%, last third 100%"
    assert " ".join(lines[5].split()).startswith("advice Nearly all kernels are shifted")
    lines = table(lines)
    assert lines[0].split() == ["layer", "kernels", "lognormal-kl", "shifted"]
    assert [line.split()[:2] for line in lines[1:3]] == [["0", "4"], ["2", "30"]]
    assert all(line.endswith(f"100%  {'█' * 16}") for line in lines[1:3])
    assert max(map(len, lines[:3])) <= 80


@pytest.mark.parametrize("height", [2, 40])
def test_what_a_long_table_scrolls_away_comes_again(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, height: int
) -> None:
    for name, value in (("COLUMNS", "80"), ("LINES", str(height)), ("FORCE_COLOR", "1"), ("NO_COLOR", "1")):
        monkeypatch.setenv(name, value)
    assert run([*arguments, "--fraction", "1", "--quiet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    places = [place for place, line in enumerate(lines, start=1) if line.endswith(" 34 of 34 kernels (100%)")]
    advice = [place for place, line in enumerate(lines, start=1) if "advice" in line]
    assert len(places) == len(advice) == (2 if height == 2 else 1)
    assert (places[-1] == advice[-1] - 1) == (height == 2)


def test_the_null_has_a_column_and_a_mark(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*arguments, "--quiet", "--splits", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[3].endswith("5% would be by chance")
    lines = table(lines)
    assert lines[0].split() == ["layer", "kernels", "lognormal-kl", "no", "shift", "shifted"]
    assert all("┊" in line and " <" in line for line in lines[1:3])
    monkeypatch.setenv("COLUMNS", "160")
    assert run([*arguments, "--quiet", "--splits", "20", "--statistic", "js", "--statistic", "ks"]) == 0
    head = table(capsys.readouterr().out.splitlines())[0]
    assert " ".join(head.split()) == "layer read at kernels js no shift 5 % 50 % 95 % x 50 % ks shifted share"


def test_a_window_is_not_called_a_percentile(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    arguments[arguments.index("digits@test:40")] = "digits@test:1"
    assert run([*arguments, "--statistic", "seed-kl"]) == 0
    captured = capsys.readouterr()
    said = " ".join(captured.out.split())
    assert "seed-kl, kernels beyond its window, 0.1 to 1; a layer's number" in said
    assert "95th percentile" not in said
    assert "chance" not in said
    assert "digits@test:1, 1 image shifted" in said
    assert "digits@test:1: only 1 image;" in captured.err


def test_rows_can_be_sorted(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    # 5 of 34 kernels are most of the first layer's, and few of the second's; or the other way about.
    assert run([*arguments, "--fraction", "0.15", "--json", "--quiet"]) == 0
    layers = json.loads(capsys.readouterr().out)["result"]["shift"]["layers"]
    wanted = sorted(layers, key=lambda layer: -layer["share"])
    assert run([*arguments, "--fraction", "0.15", "--sort", "shift", "--quiet"]) == 0
    lines = table(capsys.readouterr().out.splitlines())
    assert [line.split()[0] for line in lines[1:3]] == [layer["name"] for layer in wanted]


def test_the_gate_decides_the_exit_code(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--fraction", "0.5", "--max-shift", "0.3"]) == 1
    assert "gate not met: --max-shift 0.3: 50.0% of 34 kernels are shifted" in capsys.readouterr().err


def test_verbose_names_the_specific_kernels(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*arguments, "--fraction", "1", "-v", "--quiet"]) == 0
    assert "specific kernels 0, 1, 2, 3\n" in capsys.readouterr().out


def test_a_config_file_keeps_its_lists(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.yaml").write_text("statistic: [ks]\nlayers: ['2']\nfraction: 0.5\n")
    assert run([*arguments, "--config", str(tmp_path / "config.yaml"), "--quiet"]) == 0
    lines = table(capsys.readouterr().out.splitlines())
    assert lines[0].split()[2] == "ks"
    assert lines[1].split()[0] == "2"


@pytest.mark.parametrize(
    ("given", "error_id"),
    [
        (["--against", "other.pt"], "config-invalid"),
        (["--statistic", "nope"], "statistic-unknown"),
        (["--alpha", "0.1", "--fraction", "0.5"], "config-invalid"),
        (["--layers", "features.*"], "layers-unknown"),
    ],
)
def test_errors_have_names(
    arguments: list[str], given: list[str], error_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*arguments, *given]) == 2
    assert capsys.readouterr().err.startswith(f"error[{error_id}]:")


def test_statistics_are_completed() -> None:
    assert complete_statistics("w") == ["wasserstein", "welch-t"]
    assert complete_statistics("") == [statistic.name for statistic in STATISTICS]

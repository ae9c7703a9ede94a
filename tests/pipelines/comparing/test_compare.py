"""A whole comparison on digits: what the cells are, what is chosen, and how a broken one goes on.

All tests that start processes are in this file: the one that they are forked from is started once.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from scipy.stats import ttest_rel

from tlvcli.cli.main import run as tlv
from tlvcli.core.errors import TlvError
from tlvcli.core.report import Report
from tlvcli.pipelines.compare import run
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.news import Standing
from tlvcli.pipelines.comparing.result import CompareResult

NETWORKS = """
from torch import nn


def make(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(32, num_classes),
    )


def wider(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 12, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(2),
        nn.Flatten(), nn.Linear(48, num_classes),
    )
"""
KEEP = "transfer.mapping.keep"

Compare = Callable[..., Report[CompareResult]]


class _Told:
    """A watcher that remembers, and acts when told where the grid stands."""

    def __init__(self, act: Callable[[Standing], None] = lambda standing: None) -> None:
        self.messages: list[str] = []
        self._act = act

    def show(self, standing: Standing) -> None:
        self._act(standing)

    def message(self, text: str) -> None:
        self.messages.append(text)


def _settings(folder: Path, **given: Any) -> dict[str, Any]:
    usual = {
        "source": f"{folder}/net.py:make@random",
        "target_arch": f"{folder}/net.py:wider",
        "data": "digits@train:60",
        "test_data": "digits@test:50",
        "out": str(folder / "cmp"),
        "methods": "he,tlv",
        "grid": ["mapping.keep=interleaved,random"],
        "seeds": 2,
        "epochs": 2,
        "lr": 0.05,
        "image_size": 16,
        "device": "cpu",
        "jobs": 2,
        "train": {"workers": 0, "warmup_epochs": 0},
    }
    return {**usual, **given}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report[CompareResult]]:
    """A finished comparison: he with one point, tlv with two, two seeds."""
    folder = tmp_path_factory.mktemp("compare")
    (folder / "net.py").write_text(NETWORKS)
    return folder, run(CompareConfig(**_settings(folder)))


@pytest.fixture
def copied(whole: tuple[Path, Report[CompareResult]], tmp_path: Path) -> Iterator[Path]:
    """The finished comparison where it may be broken; its settings name the folder, so it is put back afterwards."""
    folder, _ = whole
    shutil.copytree(folder / "cmp", tmp_path / "kept")
    yield folder
    shutil.rmtree(folder / "cmp")
    shutil.copytree(tmp_path / "kept", folder / "cmp")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def _same(report: Report[CompareResult]) -> dict[str, Any]:
    result = report.result.model_dump()
    for cell in result["cells"]:
        del cell["seconds"]
    return result


def test_the_table_is_made_of_the_cells_reports(whole: tuple[Path, Report[CompareResult]]) -> None:
    folder, report = whole
    result, cells = report.result, folder / "cmp" / "cells" / "make@random"
    assert (result.num_cells, result.num_trained, result.num_failed) == (6, 6, 0)
    he, tlv_row = result.variants
    places = {
        "he": [cells / "he" / "full" / f"seed{seed}" for seed in (0, 1)],
        **{
            point: [cells / "tlv" / "full" / f"keep={point}" / f"seed{seed}" for seed in (0, 1)]
            for point in ("interleaved", "random")
        },
    }
    vals = {
        name: [_read(place / "run" / "report.json")["result"]["val_top1"] for place in several]
        for name, several in places.items()
    }
    chosen = max(("interleaved", "random"), key=lambda point: np.mean(vals[point]))
    assert tlv_row.settings == {KEEP: chosen}
    assert tlv_row.val and he.val
    assert tlv_row.val.mean == pytest.approx(np.mean(vals[chosen]))
    assert tlv_row.val.spread == pytest.approx(np.std(vals[chosen], ddof=1))
    tested = {
        name: [_read(place / "test.json")["result"]["top1"] for place in places[name]]
        for name in ("he", chosen, "interleaved")
    }
    assert tlv_row.test and tlv_row.test.values == tested[chosen]
    assert tlv_row.default_test and tlv_row.default_test.values == tested["interleaved"]
    if chosen == "interleaved":
        assert not any((place / "test.json").exists() for place in places["random"])
    assert tlv_row.difference is not None
    assert tlv_row.difference.mean == pytest.approx(np.mean(tested[chosen]) - np.mean(tested["he"]))
    gaps = np.subtract(tested[chosen], tested["he"])
    if np.std(gaps) > 0:
        assert tlv_row.difference.p == pytest.approx(ttest_rel(tested[chosen], tested["he"]).pvalue)
    curve = np.mean(
        [[e["val_top1"] for e in _read(place / "run" / "report.json")["result"]["epochs"]] for place in places["he"]],
        axis=0,
    )
    assert [point.mean for point in he.curve] == pytest.approx(list(curve))
    assert result.baseline_final == pytest.approx(curve[-1])


def test_a_cell_is_what_its_commands_do(whole: tuple[Path, Report[CompareResult]], tmp_path: Path) -> None:
    folder, report = whole
    cell = next(cell for cell in report.result.cells if cell.name.startswith("make@random/tlv") and cell.seed == 1)
    ours = folder / "cmp" / "cells" / "make@random" / "tlv" / "full" / "keep=interleaved" / "seed1"
    assert cell.name.endswith("keep=interleaved seed 1")
    assert [command.split()[1] for command in cell.commands] == ["transfer", "train", "eval"]
    for command in cell.commands:
        assert tlv([*shlex.split(command.replace(str(ours), str(tmp_path)))[1:], "--quiet"]) == 0
    mine, theirs = (_read(place / "run" / "report.json")["result"]["epochs"] for place in (ours, tmp_path))
    for key in ("train_loss", "val_loss", "val_top1", "lr"):
        assert [epoch[key] for epoch in mine] == pytest.approx([epoch[key] for epoch in theirs], rel=1e-4), key
    assert _read(ours / "test.json")["result"]["top1"] == _read(tmp_path / "test.json")["result"]["top1"]


def test_only_the_winners_checkpoint_stays(whole: tuple[Path, Report[CompareResult]]) -> None:
    folder, report = whole
    left = [str(path) for path in (folder / "cmp").rglob("*.safetensors")]
    assert left == [report.result.winner_checkpoint]
    kept = [cell for cell in report.result.cells if cell.checkpoint]
    best = next(row for row in report.result.variants if row.name == report.result.winner)
    assert best.val and kept[0].val_top1 == max(best.val.values)


def test_what_is_made_of_the_cells_lies_beside_them(whole: tuple[Path, Report[CompareResult]]) -> None:
    folder, report = whole
    out = folder / "cmp"
    assert _read(out / "compare.json") == json.loads(report.to_json())
    table = (out / "compare.md").read_text().splitlines()
    assert table[0].startswith("| method | chosen settings | val top-1 | test top-1 |")
    assert [line.split("|")[1].strip() for line in table[2:4]] == ["he", "tlv"]
    assert (out / "curves.png").read_bytes().startswith(b"\x89PNG")
    page = (out / "compare.html").read_text()
    assert "Best on val: make@random/" in page
    assert page.count("<details") == 1 + 6
    assert {output.role for output in report.outputs} == {"table", "plot", "page", "checkpoint"}


def test_a_second_start_runs_nothing(whole: tuple[Path, Report[CompareResult]]) -> None:
    folder, report = whole
    told = _Told()
    again = run(CompareConfig(**_settings(folder)), watcher=told)
    assert told.messages == []
    assert again.result == report.result
    fed_back = run(CompareConfig(**report.model_dump(mode="json")["config"]))
    assert fed_back.result == report.result


def test_a_half_cell_is_done_again_and_the_table_is_the_same(
    whole: tuple[Path, Report[CompareResult]], copied: Path
) -> None:
    _, report = whole
    cells = copied / "cmp" / "cells" / "make@random"
    (cells / "he" / "full" / "seed1" / "run" / "report.json").unlink()  # as if killed in training
    (cells / "tlv" / "full" / "keep=interleaved" / "seed0" / "test.json").unlink()
    told = _Told()
    again = run(CompareConfig(**_settings(copied)), watcher=told)
    assert _same(again) == _same(report)
    trained = [message for message in told.messages if "val top-1" in message]
    assert {message.partition(":")[0] for message in trained} <= {
        "make@random/he/full seed 1",
        "make@random/tlv/full keep=interleaved seed 0",  # its checkpoint was gone, so it is made again
    }
    assert sum("test top-1" in message for message in told.messages) == 2


def test_an_interrupt_leaves_what_is_finished_and_the_same_command_goes_on(
    whole: tuple[Path, Report[CompareResult]], tmp_path: Path
) -> None:
    folder, _ = whole
    settings = _settings(folder, out=str(tmp_path / "cmp"), methods="he", grid=[], jobs=1)

    def interrupt(standing: Standing) -> None:
        if standing.done == 1 and standing.running:
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(TlvError) as caught:
        run(CompareConfig(**settings), watcher=_Told(interrupt))
    assert (caught.value.error_id, caught.value.exit_code) == ("interrupted", 130)
    assert "after 1 of 2 cells" in caught.value.message
    (finished,) = (tmp_path / "cmp").rglob("run/report.json")
    time_then = finished.stat().st_mtime_ns
    told = _Told()
    again = run(CompareConfig(**settings), watcher=told)
    assert again.result.num_trained == 2
    assert sum("val top-1" in message for message in told.messages) == 1
    assert finished.stat().st_mtime_ns == time_then
    grown = run(CompareConfig(**{**settings, "seeds": 3}), watcher=told)
    assert [cell.seed for cell in grown.result.cells if cell.status == "trained"] == [0, 1, 2]
    assert sum("val top-1" in message for message in told.messages) == 2


def test_a_cell_that_fails_is_named_and_the_rest_goes_on(
    whole: tuple[Path, Report[CompareResult]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = whole
    broken = {"0.weight": torch.full((8, 3, 3, 3), torch.nan), "0.bias": torch.zeros(8)}
    save_file({**broken, "4.weight": torch.zeros(10, 32), "4.bias": torch.zeros(10)}, tmp_path / "broken.safetensors")
    network, out = f"{folder}/net.py", tmp_path / "cmp"
    code = tlv(
        [
            *("compare", "--source", str(tmp_path / "broken.safetensors"), "--source-arch", f"{network}:make"),
            *("--target-arch", f"{network}:wider", "--data", "digits@train:40", "--test-data", "digits@test:20"),
            *("--out", str(out), "--methods", "tlv,he", "--seeds", "1", "--epochs", "1", "--image-size", "16"),
            *("--device", "cpu", "--set", "train.workers=0", "--set", "train.warmup-epochs=0"),
        ]
    )
    said = capsys.readouterr()
    assert code == 1
    result = _read(out / "compare.json")["result"]
    assert [cell["status"] for cell in result["cells"]] == ["failed", "trained"]
    assert result["cells"][0]["error"].startswith("source-not-finite: ")
    assert [row["val"] is None for row in result["variants"]] == [True, False]
    assert result["winner"] == "broken/he/full"
    assert "failed: broken/tlv/full seed 0: " in said.err
    assert "2 cells, 1 trained, 1 failed" in said.out
    assert [line.split()[0] for line in said.out.splitlines()[:3]] == ["method", "tlv", "he"]


def test_a_dry_run_shows_commands_and_writes_nothing(
    whole: tuple[Path, Report[CompareResult]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, _ = whole
    network = f"{folder}/net.py"
    arguments = [
        *("compare", "--source", f"{network}:make@random", "--target-arch", f"{network}:wider", "--data", "digits"),
        *("--out", str(tmp_path / "cmp"), "--methods", "he,tlv", "--strategies", "full,two-rate", "--dry-run"),
    ]
    assert tlv(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("# 12 cells, ")
    assert sum(line.startswith("tlv transfer ") for line in lines) == 12
    assert sum(line.startswith("tlv train ") for line in lines) == 12
    assert not (tmp_path / "cmp").exists()
    assert tlv([*arguments, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)["result"]
    assert [cell["status"] for cell in result["cells"]] == ["planned"] * 12
    assert result["test_data"] == "digits@test"
    assert result["disk_bytes"] > 0


@pytest.mark.parametrize(
    ("changes", "error_id"),
    [
        ({"methods": "he,tvl"}, "method-unknown"),
        ({"strategies": "ful"}, "strategy-unknown"),
        ({"train": {"mixpu": 0.2}}, "config-invalid"),
        ({"train": {"seed": 1}}, "grid-key-not-free"),
        ({"transfer": {"mapping": {"kep": "random"}}}, "config-invalid"),
        ({"grid": ["lr=fast,slow"]}, "config-invalid"),
        ({"grid": ["warmup-epochs=0,2"]}, "config-invalid"),
        ({"data": "nowhere"}, "data-missing"),
        ({"test_data": "digits@tset"}, "data-split-unknown"),
        ({"source": "nothing.pth"}, "checkpoint-missing"),
        ({"target_arch": "resnet81"}, "architecture-unknown"),
        ({"device": "cuda:0"}, "device-unavailable"),
        ({"epochs": 3}, "compare-differs"),
    ],
)
def test_what_cannot_be_is_refused_before_a_cell_runs(
    whole: tuple[Path, Report[CompareResult]], changes: dict[str, Any], error_id: str
) -> None:
    folder, _ = whole
    before = (folder / "cmp" / "compare.json").read_bytes()
    with pytest.raises(TlvError) as caught:
        run(CompareConfig(**_settings(folder, **changes)))
    assert caught.value.error_id == error_id
    assert caught.value.hint
    assert (folder / "cmp" / "compare.json").read_bytes() == before


@pytest.mark.slow
def test_a_killed_comparison_goes_on_where_it_stood(whole: tuple[Path, Report[CompareResult]], copied: Path) -> None:
    _, report = whole
    shutil.rmtree(copied / "cmp")
    (copied / "compare.yaml").write_text(json.dumps(_settings(copied)))
    command = [sys.executable, "-m", "tlvcli", "compare", "--config", str(copied / "compare.yaml"), "--quiet"]
    started = subprocess.Popen(command)
    while len(list(copied.rglob("run/report.json"))) < 2 and started.poll() is None:
        time.sleep(0.05)
    os.kill(started.pid, signal.SIGKILL)
    started.wait()
    finished = {path: path.stat().st_mtime_ns for path in copied.rglob("run/report.json")}
    again = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    result = CompareResult.model_validate(json.loads(again.stdout)["result"])
    assert _same(report.model_copy(update={"result": result})) == _same(report)
    untouched = [path for path, time_then in finished.items() if path.stat().st_mtime_ns == time_then]
    assert len(untouched) >= 1

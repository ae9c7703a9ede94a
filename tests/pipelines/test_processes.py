"""Two processes under torchrun learn, measure and compare what one does."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.pipelines.conftest import _NETWORK as NORMALISED
from tests.pipelines.training.conftest import _PLAIN as PLAIN
from tests.pipelines.training.conftest import SETTINGS, no_picture  # noqa: F401 - it is used by being here
from tlvcli.core.errors import TlvError
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analyze_stats import run as analyze
from tlvcli.pipelines.eval import EvalConfig
from tlvcli.pipelines.eval import run as evaluate
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.job import EpochResult
from tlvcli.pipelines.training.state import resumed_config

ROOT = Path(__file__).resolve().parents[2]
# 101 images: the last batch of an epoch has 5, of which one process gets 3.
RICH: dict[str, Any] = {
    **SETTINGS,
    "data": "digits@train:101",
    "accumulate": 2,
    "clip_norm": 1.0,
    "ema": 0.7,
    "class_weights": "balanced",
    "l2sp": 0.1,
}
_IDLE = """
from torch import nn


class Net(nn.Sequential):
    def __init__(self, num_classes):
        super().__init__(nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(392, num_classes))
        self.idle = nn.Linear(2, 2)

    def forward(self, images):
        for layer in list(self)[:4]:
            images = layer(images)
        return images


def make(num_classes, in_chans=3):
    return Net(num_classes)

"""


# 73 images are five batches, of which one process takes three.
_COMMON = {"batch_size": 16, "device": "cpu"}
SHIFT = {
    **_COMMON,
    "source": "digits@train:73",
    "target": "digits@val:40",
    "statistic": ["lognormal-kl", "js", "welch-t", "seed-kl"],
    "splits": 20,
}
SIMILARITY = {**_COMMON, "data": "digits@train:73"}
EVAL = {"data": "digits@test:203", "batch_size": 50, "device": "cpu"}


def _flags(command: str, checkpoint: str, settings: dict[str, Any]) -> list[str]:
    assigned = [f"--set={key}={value}" for key, value in settings.items()]
    return [command, checkpoint, *assigned, "--quiet", "--json"]


@dataclass(frozen=True)
class Done:
    """What two processes have left below `folder`, and the codes that their commands ended with, by rank."""

    folder: Path
    networks: dict[str, str]
    codes: dict[str, tuple[int, int]]
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Everything that is done by two processes, in one start of them."""
    folder = tmp_path_factory.mktemp("processes")
    networks = {}
    for name, code in {"plain": PLAIN, "normalised": NORMALISED, "idle": _IDLE}.items():
        (folder / f"{name}.py").write_text(code)
        networks[name] = f"{folder / name}.py:make@random"
    _write_photos(folder / "photos")
    (folder / "taken").mkdir()
    (folder / "taken" / "file").write_text("")

    def train(network: str, out: str, **settings: Any) -> list[str]:
        return _flags("train", networks[network], {**RICH, **settings, "out": str(folder / out)})

    # An epoch has 4 batches of training and 6 of val.
    broken = {**RICH, "checkpoint": networks["plain"], "out": str(folder / "broken"), "epochs": 3}
    stopped = {**RICH, "checkpoint": networks["normalised"], "out": str(folder / "stopped"), "batch_size": 16}
    best = str(folder / "whole" / "best.safetensors")
    phases = _phases(folder)
    other = str(folder / "normalised" / "best.safetensors")
    photos = {"data": str(folder / "photos"), "batch_size": 4}
    commands: dict[str, list[str] | dict[str, Any]] = {
        "whole": train("plain", "whole", epochs=3),
        "broken": {"settings": broken, "after": 4 + 6 + 2, "rank": 1},
        "normalised": train("normalised", "normalised", batch_size=16, workers=1),
        "stopped": {"settings": stopped, "after": 3, "rank": 0},
        "resumed": ["train", "--resume", str(folder / "stopped"), "--quiet", "--json"],
        "phases": train("plain", "phases", **phases),
        "idle": train("idle", "idle"),
        "decayed": train("idle", "decayed", l2sp="null"),
        "taken": train("plain", "taken"),
        "uneven": train("plain", "uneven", batch_size=9),
        "few": train("normalised", "few", data="digits@train:3", class_weights="null"),
        "unreadable": train("plain", "unreadable", **photos),
        "eval": _flags("eval", best, {**EVAL, "against": f"[{other}]", "predictions": str(folder / "answers.csv")}),
        "eval-few": _flags("eval", best, {"data": "digits@test:10", "batch_size": 3, "device": "cpu"}),
        "shift": _flags("analyze-stats", best, SHIFT),
        "similarity": _flags("analyze-stats", best, {**SIMILARITY, "against": f"[{other}]"}),
    }
    (folder / "commands.json").write_text(json.dumps(list(commands.values())))
    starter = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    ended = subprocess.run(
        [*starter, "-m", "tests.pipelines.in_processes", str(folder / "commands.json")],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    codes = [json.loads((folder / f"commands.{rank}").read_text()) for rank in range(2)]
    return Done(
        folder, networks, dict(zip(commands, zip(*codes, strict=True), strict=True)), ended.stdout, ended.stderr
    )


def _phases(folder: Path) -> dict[str, Any]:
    """Return the settings of two phases with frozen kernels and the features of another network."""
    mask = torch.tensor([1, 0, 0, 1, 0, 0, 0, 1], dtype=torch.uint8)
    save_file({"0.weight": mask}, folder / "mask.safetensors", metadata={"tlv_kind": "mask"})
    return {
        "strategy": "lp-ft",
        "probe_epochs": 1,
        "mask": str(folder / "mask.safetensors"),
        "crossover": str(folder / "whole" / "best.safetensors"),
        "l2sp": "null",
    }


def _write_photos(folder: Path) -> None:
    """Twelve of each of two classes to train on, of which one cannot be read."""
    noise = np.random.default_rng(0)
    for split, count in {"train": 12, "val": 3}.items():
        for name in ("ant", "bee"):
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{number:02}.png")
    (folder / "train" / "bee" / "07.png").write_bytes(b"no picture")


@pytest.fixture
def alone(done: Done, tmp_path: Path) -> Callable[..., Path]:
    """Train in this process with the same settings; returns the run's folder."""

    def start(network: str, **settings: Any) -> Path:
        out = tmp_path / network
        run(TrainConfig(checkpoint=done.networks[network], out=str(out), **{**RICH, **settings}))
        return out

    return start


def _epochs(folder: Path) -> list[EpochResult]:
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    return [EpochResult.model_validate_json(line) for line in lines]


def _assert_same_run(found: Path, expected: Path) -> None:
    for one, other in zip(_epochs(found), _epochs(expected), strict=True):
        assert one.train_loss == pytest.approx(other.train_loss, rel=1e-5)
        assert one.val_loss == pytest.approx(other.val_loss, rel=1e-5)
        assert (one.val_top1, one.val_balanced_accuracy) == (other.val_top1, other.val_balanced_accuracy)
        assert one.lr == other.lr
    weights = load_file(expected / "last.safetensors")
    torch.testing.assert_close(load_file(found / "last.safetensors"), weights, rtol=1e-4, atol=1e-5)


def test_the_loss_curve_is_that_of_one_process(done: Done, alone: Callable[..., Path]) -> None:
    assert done.codes["whole"] == (0, 0)
    _assert_same_run(done.folder / "whole", alone("plain", epochs=3))


def test_one_process_goes_on_where_two_were_stopped(done: Done) -> None:
    # The signal came to the second process; both stopped, after the same step.
    assert done.codes["broken"] == (143, 143)
    state = json.loads((done.folder / "broken" / "resume.json").read_text())
    assert (state["epoch"], state["step"]) == (2, 1)
    run(resumed_config(done.folder / "broken", {}), resume=True)
    _assert_same_run(done.folder / "broken", done.folder / "whole")


def test_statistics_of_batch_normalisation_are_measured_as_they_are_kept(done: Done) -> None:
    assert done.codes["normalised"] == (0, 0)
    last = _epochs(done.folder / "normalised")[-1]
    checkpoint = str(done.folder / "normalised" / "last.safetensors")
    measured = evaluate(EvalConfig(checkpoint=checkpoint, data="digits@val", device="cpu")).result
    assert (last.val_top1, last.val_loss) == (measured.top1, pytest.approx(measured.loss, rel=1e-6))


def test_two_processes_go_on_to_the_bit(done: Done) -> None:
    assert (done.codes["stopped"], done.codes["resumed"]) == ((143, 143), (0, 0))
    for name in ("best.safetensors", "last.safetensors"):
        assert (done.folder / "stopped" / name).read_bytes() == (done.folder / "normalised" / name).read_bytes()


def test_phases_masks_and_crossover_are_those_of_one_process(done: Done, alone: Callable[..., Path]) -> None:
    assert done.codes["phases"] == (0, 0)
    _assert_same_run(done.folder / "phases", alone("plain", **{**_phases(done.folder), "l2sp": None}))


@pytest.mark.parametrize(("name", "settings"), [("idle", {}), ("decayed", {"l2sp": None})])
def test_parameters_that_the_loss_does_not_know_keep_nobody_waiting(
    done: Done, alone: Callable[..., Path], name: str, settings: dict[str, Any]
) -> None:
    assert done.codes[name] == (0, 0)
    _assert_same_run(done.folder / name, alone("idle", **settings))


def test_an_error_is_told_once(done: Done) -> None:
    expected = ["output-exists", "batch-not-shared", "too-few-images", "image-unreadable"]
    told = [json.loads(line)["error"]["id"] for line in done.stderr.splitlines() if line.startswith('{"error"')]
    assert told == expected
    assert [done.codes[name] for name in ("taken", "uneven", "few", "unreadable")] == [(2, 2)] * 4
    assert [path.name for path in (done.folder / "taken").iterdir()] == ["file"]
    assert not (done.folder / "uneven").exists()


def test_eval_counts_every_image_once(done: Done) -> None:
    reports = list(_documents(done.stdout))
    schemas = ["tlv.train/1"] * 6 + ["tlv.eval/1"] * 2 + ["tlv.analyze-stats/1"] * 2
    assert [report["schema"] for report in reports] == schemas
    best = str(done.folder / "whole" / "best.safetensors")
    for report, data in zip(reports[6:8], ("digits@test:203", "digits@test:10"), strict=True):
        whole = evaluate(EvalConfig(checkpoint=best, data=data, device="cpu")).result
        found = report["result"]
        assert (found["images"], found["top1"], found["top5"]) == (whole.images, whole.top1, whole.top5)
        assert found["loss"] == pytest.approx(whole.loss, rel=1e-9)


def test_eval_writes_every_image_once_in_the_order_of_the_data(done: Done, tmp_path: Path) -> None:
    best, other = (str(done.folder / name / "best.safetensors") for name in ("whole", "normalised"))
    alone = tmp_path / "answers.csv"
    settings = {**EVAL, "checkpoint": best, "against": [other], "predictions": str(alone)}
    expected = json.loads(evaluate(EvalConfig(**settings)).to_json())["result"]
    found = list(_documents(done.stdout))[6]
    assert [output["role"] for output in found["outputs"]] == ["predictions"]
    measured = {"images_per_second", "peak_memory_bytes"}
    leaves, wanted = (list(_leaves(_without(result, measured))) for result in (found["result"], expected))
    assert leaves == [pytest.approx(leaf, rel=1e-6, abs=1e-6) if isinstance(leaf, float) else leaf for leaf in wanted]
    tables = [list(csv.reader(path.read_text().splitlines())) for path in (done.folder / "answers.csv", alone)]
    assert len(tables[0]) == 204
    for row, by_one in zip(*tables, strict=True):
        assert (*row[:3], row[5]) == (*by_one[:3], by_one[5])


def _without(result: dict[str, Any], keys: set[str]) -> dict[str, Any]:
    rivals = [
        {**rival, "measures": {key: value for key, value in rival["measures"].items() if key not in keys}}
        for rival in result["against"]
    ]
    return {key: value for key, value in {**result, "against": rivals}.items() if key not in keys}


def test_distances_and_similarities_are_those_of_one_process(done: Done) -> None:
    best, other = (str(done.folder / name / "best.safetensors") for name in ("whole", "normalised"))
    for found, settings in zip(
        list(_documents(done.stdout))[8:], (SHIFT, {**SIMILARITY, "against": other}), strict=True
    ):
        expected = json.loads(analyze(AnalyzeStatsConfig(checkpoint=best, **settings)).to_json())
        leaves, wanted = (list(_leaves(report["result"])) for report in (found, expected))
        assert len(wanted) > 10
        assert leaves == [
            pytest.approx(leaf, rel=1e-6, abs=1e-9) if isinstance(leaf, float) else leaf for leaf in wanted
        ]


def _leaves(value: Any) -> Iterator[Any]:
    """Yield what nested lists and objects hold, in order, the keys too."""
    if not isinstance(value, dict | list):
        yield value
        return
    for entry in (part for pair in value.items() for part in pair) if isinstance(value, dict) else value:
        yield from _leaves(entry)


def _documents(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON documents that follow one another."""
    decoder, place = json.JSONDecoder(), 0
    while place < len(text.rstrip()):
        document, place = decoder.raw_decode(text, place)
        yield document
        place += 1  # the line's end


def test_batch_statistics_of_all_processes_need_cuda(done: Done, tmp_path: Path) -> None:
    settings = {**RICH, "checkpoint": done.networks["normalised"], "out": str(tmp_path / "run"), "sync_bn": True}
    with pytest.raises(TlvError, match="needs CUDA") as caught:
        run(TrainConfig(**settings))
    assert caught.value.error_id == "sync-bn-unsupported"

"""Sources that change while they are read, outputs that two write at once, workers that die or have no memory."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from tests.faults.children import Child, finish, leave_little_memory, start
from tests.faults.conftest import Place
from tlvcli.core.errors import TlvError
from tlvcli.pipelines import checkpoints
from tlvcli.pipelines.checkpoints import open_reference

_DATA = ["--image-size", "8", "--device", "cpu"]


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of 80 MB."""
    folder = tmp_path_factory.mktemp("large")
    weights = {f"{number}.weight": torch.full((2048, 1024), float(number)) for number in range(10)}
    save_file(weights, folder / "model.safetensors")
    torch.save(weights, folder / "model.pt")
    return folder


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
def test_a_source_that_is_cut_short_while_it_is_copied(place: Place, large: Path, tmp_path: Path, name: str) -> None:
    source, out = tmp_path / name, tmp_path / "out.safetensors"
    shutil.copy(large / name, source)
    out.write_bytes(b"old")
    child = start(["convert", str(source), str(out), "--force", "--quiet"], place.log)
    _wait_for(child, lambda: any(tmp_path.glob(".out.*.tmp")))
    os.truncate(source, 1000)
    code = child.wait()
    if code == 0:  # it was faster
        assert load_file(out)
        return
    # Where the pages are looked at rather than written, the system ends the process.
    assert code in (2, -signal.SIGBUS)
    if code == 2:
        assert place.said[-2].startswith("error[checkpoint-changed]")
    assert out.read_bytes() == b"old"


def test_a_source_that_is_replaced_has_no_hash(large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "model.safetensors"
    save_file({"0.weight": torch.ones(2, 2)}, source)
    real = checkpoints.hash_checkpoint

    def hash_late(*file: object) -> str:
        shutil.copy(large / "model.safetensors", tmp_path / "other")
        (tmp_path / "other").replace(source)
        return real(*file)  # type: ignore[arg-type]

    monkeypatch.setattr(checkpoints, "hash_checkpoint", hash_late)
    opened = open_reference(str(source), role="source", key=None, arch=None, offline=True, seed=0)
    with pytest.raises(TlvError, match="was changed while it was read") as caught:
        assert opened.info
    assert caught.value.error_id == "checkpoint-changed"


@pytest.mark.parametrize("force", [True, False])
def test_two_that_write_one_output(place: Place, large: Path, tmp_path: Path, force: bool) -> None:
    out = tmp_path / "out.safetensors"
    dtypes, flags = ("float16", "bfloat16"), ["--force"] if force else []
    logs = [tmp_path / f"{dtype}.log" for dtype in dtypes]
    children = [
        start(["convert", str(large / "model.pt"), str(out), "--dtype", dtype, "--json", *flags], log)
        for dtype, log in zip(dtypes, logs, strict=True)
    ]
    codes = [child.wait() for child in children]
    assert codes == [0, 0] if force else sorted(codes) == [0, 2]
    if not force:
        (loser,) = [log for code, log in zip(codes, logs, strict=True) if code == 2]
        assert json.loads(loser.read_text())["error"]["id"] == "output-exists"
    hashes = {
        json.loads(log.read_text())["outputs"][0]["sha256"] for code, log in zip(codes, logs, strict=True) if not code
    }
    assert hashlib.sha256(out.read_bytes()).hexdigest() in hashes
    assert len({tensor.dtype for tensor in load_file(out).values()}) == 1
    assert not list(tmp_path.glob(".*.tmp"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 images in two classes, too large to be decoded at once."""
    folder, noise = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for label in ("ant", "bee"):
        (folder / "train" / label).mkdir(parents=True)
        for number in range(200):
            pixels = noise.integers(0, 256, (100, 100, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "train" / label / f"{number}.jpg")
    return folder


def test_a_worker_that_is_killed(place: Place, photos: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train = ["train", f"{place.network}@random", "--data", str(photos), "--out", str(run), *_DATA, "--epochs", "50"]
    child = start([*train, "--workers", "1", "--set", "checkpoint_every=2", "--quiet"], place.log)
    _wait_for(child, lambda: (run / "resume.json").exists())
    (worker,) = _children(child)
    os.kill(worker, signal.SIGKILL)
    assert child.wait() == 2
    assert "error[worker-died]: a worker process ended while it read" in place.log.read_text()
    assert not list(run.glob(".*.tmp"))
    child = start(["train", "--resume", str(run), "--workers", "0", "--quiet"], place.log)
    _wait_for(child, lambda: (run / "last.safetensors").exists())
    os.kill(child.pid, signal.SIGINT)
    assert child.wait() == 130
    assert "tlv train --resume" in place.log.read_text()


@pytest.mark.parametrize("workers", ["0", "1"])
def test_an_image_that_no_memory_holds(place: Place, photos: Path, tmp_path: Path, workers: str) -> None:
    shutil.copytree(photos / "train" / "ant", tmp_path / "ant")
    Image.new("1", (13_000, 13_000)).save(tmp_path / "ant" / "0.png")
    predict = ["predict", f"{place.network}@random", str(tmp_path / "ant"), *_DATA, "--workers", workers, "--quiet"]
    assert finish([*predict, "--json"], place.log, before=leave_little_memory) == 1
    report = json.loads(place.log.read_text())
    (unreadable,) = report["result"]["unreadable"]
    assert unreadable["error"].endswith("0.png: its pixels take more memory than there is")


def _children(child: Child) -> list[int]:
    return [int(word) for word in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()]


def _wait_for(child: Child, condition: object, seconds: float = 60.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline and Path(f"/proc/{child.pid}/stat").exists():
        if Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.001)

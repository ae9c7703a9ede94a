"""Runs that end before they are done: what is left, and that going on gives what an unbroken run gives, to the bit."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from tests.pipelines.training.conftest import SETTINGS, TIMES, Train, Trigger
from tlvcli.core.errors import TlvError
from tlvcli.core.report import Report
from tlvcli.pipelines.train import run
from tlvcli.pipelines.training import fit as fit_module
from tlvcli.pipelines.training import keeping
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.interruption import stop_wishes
from tlvcli.pipelines.training.result import TrainResult
from tlvcli.pipelines.training.run_folder import RunFolder
from tlvcli.pipelines.training.state import RunState, read_state, resumed_config

# Whatever has a state of its own: averages, momentum, dropout, mixing, steps of several batches.
RICH: dict[str, Any] = {"epochs": 3, "accumulate": 2, "batch_size": 16, "ema": 0.7, "mixup": 0.2, "clip_norm": 1.0}


def _break(network: str, out: Path, after: int, number: int = signal.SIGINT, **settings: Any) -> TlvError:
    trigger = Trigger(after, partial(signal.raise_signal, number))
    config = TrainConfig(checkpoint=f"{network}@random", out=str(out), **{**SETTINGS, **settings})
    with pytest.raises(TlvError) as caught:
        run(config, progress=trigger)
    return caught.value


def _resume(out: Path, **given: Any) -> Report[TrainResult]:
    return run(resumed_config(out, given), resume=True)


def _without_times(report: Report[TrainResult]) -> dict[str, Any]:
    result = report.result.model_dump(exclude={"epochs", "seconds_waiting", "seconds_features", "peak_memory_bytes"})
    return {**result, "epochs": [epoch.model_dump(exclude=TIMES) for epoch in report.result.epochs]}


def _assert_same(one: Path, other: Path) -> None:
    for name in ("best.safetensors", "last.safetensors"):
        assert (one / name).read_bytes() == (other / name).read_bytes(), name
    metrics = [
        [{k: v for k, v in json.loads(line).items() if k not in TIMES} for line in folder.read_text().splitlines()]
        for folder in (one / "metrics.jsonl", other / "metrics.jsonl")
    ]
    assert metrics[0] == metrics[1]


# Of an epoch with 7 batches of training and 12 of val: in the first step, amid an epoch, amid val.
@pytest.mark.parametrize(("after", "optimizer"), [(1, "adamw"), (19 + 3, "sgd"), (19 + 7 + 4, "adam")])
def test_a_resumed_run_ends_as_an_unbroken_one(
    small_network: str, tmp_path: Path, train: Train, after: int, optimizer: str
) -> None:
    whole = train(small_network, tmp_path / "whole", **RICH, optimizer=optimizer)
    error = _break(small_network, tmp_path / "broken", after, **RICH, optimizer=optimizer)
    assert (error.error_id, error.exit_code) == ("interrupted", 130)
    assert f"tlv train --resume {tmp_path / 'broken'}" in error.hint
    resumed = _resume(tmp_path / "broken")
    _assert_same(tmp_path / "whole", tmp_path / "broken")
    assert _without_times(resumed) == _without_times(whole)
    assert json.loads((tmp_path / "broken" / "report.json").read_text()) == json.loads(resumed.to_json())


def test_workers_may_come_and_go(small_network: str, tmp_path: Path, train: Train) -> None:
    settings = {"augment": "randaugment", "data": "digits@train:40", "batch_size": 8}
    train(small_network, tmp_path / "whole", **settings)
    _break(small_network, tmp_path / "broken", 3, **settings, workers=2)
    _resume(tmp_path / "broken", workers=0)
    _assert_same(tmp_path / "whole", tmp_path / "broken")


def test_termination_keeps_the_state_of_the_step(small_network: str, tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    error = _break(small_network, tmp_path / "run", 2, signal.SIGTERM)
    assert (error.error_id, error.exit_code) == ("terminated", 143)
    assert error.message == "terminated in epoch 1 after step 2 of 4"
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    saved = read_state(RunFolder(tmp_path / "run"))
    assert (saved.epoch, saved.step, saved.running.images) == (1, 2, 64)
    assert sorted(file.name for file in (tmp_path / "run").iterdir()) == ["resume.json", "resume.safetensors"]
    with safe_open(tmp_path / "run" / "resume.safetensors", framework="pt") as file:
        assert file.metadata()["tlv_kind"] == "resume"
        assert RunState.model_validate_json(file.metadata()["resume"]) == saved


def test_a_second_signal_is_obeyed_at_once() -> None:
    with stop_wishes() as wish:
        signal.raise_signal(signal.SIGINT)
        assert wish.number == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_states_between_epochs(
    small_network: str, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = []
    real = keeping.write_state

    def note(folder: RunFolder, state: RunState, *rest: Any) -> None:
        places.append((state.epoch, state.step, len(state.epochs)))
        real(folder, state, *rest)

    monkeypatch.setattr(keeping, "write_state", note)
    train(small_network, tmp_path / "run", checkpoint_every=3)
    # Four steps an epoch: after the third of the run, after the sixth, and after each epoch.
    assert places == [(1, 3, 0), (2, 0, 1), (2, 2, 1), (3, 0, 2)]


@pytest.mark.parametrize("killed_after", ["state", "last", "all"])
def test_a_run_that_is_killed_while_it_writes(
    small_network: str, tmp_path: Path, train: Train, monkeypatch: pytest.MonkeyPatch, killed_after: str
) -> None:
    class Killed(BaseException):
        pass

    def kill(*args: Any, **kwargs: Any) -> None:
        raise Killed

    train(small_network, tmp_path / "whole", epochs=1)
    with monkeypatch.context() as patch:
        where = {"state": (fit_module, "keep_epoch"), "last": (keeping, "best_of"), "all": (fit_module, "draw_curves")}
        patch.setattr(*where[killed_after], kill)
        with pytest.raises(Killed):
            train(small_network, tmp_path / "broken", epochs=1)
    resumed = _resume(tmp_path / "broken")
    _assert_same(tmp_path / "whole", tmp_path / "broken")
    assert [output.role for output in resumed.outputs] == ["checkpoint", "checkpoint", "metrics", "plot"]


def test_kill_minus_nine(small_network: str, tmp_path: Path, train: Train) -> None:
    settings = {"epochs": 6, "data": "digits@train:64", "checkpoint_every": 1}
    train(small_network, tmp_path / "whole", **settings)
    config = TrainConfig(checkpoint=f"{small_network}@random", out=str(tmp_path / "broken"), **{**SETTINGS, **settings})
    code = (
        "import sys, torch; from tlvcli.pipelines.train import TrainConfig, run;"
        f"torch.set_num_threads({torch.get_num_threads()}); run(TrainConfig.model_validate_json(sys.argv[1]))"
    )
    process = subprocess.Popen([sys.executable, "-c", code, config.model_dump_json()])
    deadline = time.monotonic() + 100
    while not (tmp_path / "broken" / "resume.json").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(int.from_bytes(os.urandom(1), "big") / 2000)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert read_state(RunFolder(tmp_path / "broken")).config["epochs"] == 6
    _resume(tmp_path / "broken")
    _assert_same(tmp_path / "whole", tmp_path / "broken")


def test_a_full_disk_costs_nothing_that_was_there(small_network: str, tmp_path: Path, train: Train) -> None:
    out, limits = tmp_path / "broken", resource.getrlimit(resource.RLIMIT_FSIZE)
    train(small_network, tmp_path / "whole")
    # In the second epoch, where the first state and checkpoints are there.
    trigger = Trigger(12, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1])))
    try:
        with pytest.raises(TlvError) as caught:
            run(TrainConfig(checkpoint=f"{small_network}@random", out=str(out), **SETTINGS), progress=trigger)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.error_id == "no-space"
    assert caught.value.message == f"no space left to write {out / 'resume.safetensors'}"
    assert f"tlv train --resume {out} goes on" in caught.value.hint
    assert {file.name for file in out.iterdir()} == {
        "best.safetensors",
        "last.safetensors",
        "metrics.jsonl",
        "resume.json",
        "resume.safetensors",
    }
    assert load_file(out / "last.safetensors")
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1
    _resume(out)
    _assert_same(tmp_path / "whole", out)


def test_of_a_linear_probe_the_state_is_a_head(small_network: str, tmp_path: Path, train: Train) -> None:
    _break(small_network, tmp_path / "broken", 2, strategy="linear-probe", ema=0.9)
    assert set(load_file(tmp_path / "broken" / "resume.safetensors")) == {
        *(f"{part}.9.{name}" for part in ("network", "average") for name in ("weight", "bias")),
        *(f"optimizer.9.{name}.{key}" for name in ("weight", "bias") for key in ("step", "exp_avg", "exp_avg_sq")),
    }
    _resume(tmp_path / "broken")
    train(small_network, tmp_path / "whole", strategy="linear-probe", ema=0.9)
    _assert_same(tmp_path / "whole", tmp_path / "broken")


def test_cached_features_resume_where_they_were(small_network: str, tmp_path: Path, train: Train) -> None:
    settings = {"strategy": "linear-probe", "augment": "none", "batch_size": 16, "accumulate": 2, "head": "linear"}
    whole = train(small_network, tmp_path / "whole", **settings)
    _break(small_network, tmp_path / "broken", 25, **settings)
    assert _without_times(_resume(tmp_path / "broken")) == _without_times(whole)
    _assert_same(tmp_path / "whole", tmp_path / "broken")


def test_the_second_phase_resumes_with_its_own_optimiser(small_network: str, tmp_path: Path, train: Train) -> None:
    settings = {"strategy": "lp-ft", "probe_epochs": 1, "epochs": 3, "l2sp": 0.1}
    whole = train(small_network, tmp_path / "whole", **settings)
    for after in (10, 12):  # at the end of the probe's val, and in the second phase
        _break(small_network, tmp_path / f"broken{after}", after, **settings)
        assert _without_times(_resume(tmp_path / f"broken{after}")) == _without_times(whole)
        _assert_same(tmp_path / "whole", tmp_path / f"broken{after}")


def test_what_differs_from_the_run_is_named(small_network: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    _break(small_network, out, 2)
    with pytest.raises(TlvError) as caught:
        resumed_config(out, {"lr": 0.5, "epochs": 9, "seed": 0})
    assert caught.value.error_id == "resume-differs"
    assert "epochs was 2 and would be 9; lr was 0.01 and would be 0.5" in caught.value.message
    with pytest.raises(TlvError) as caught:
        _resume(out, data="digits@train:90")
    assert (caught.value.error_id, "of train are" in caught.value.message) == ("data-changed", True)
    with pytest.raises(TlvError) as caught:
        _resume(out, checkpoint="squeezenet1_1@random")
    assert (caught.value.error_id, "the checkpoint is not the one" in caught.value.message) == ("input-changed", True)


def test_a_run_goes_on_in_its_own_folder_alone(
    small_network: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    _break(small_network, out, 2)
    with pytest.raises(TlvError) as caught:
        resumed_config(out, {"out": str(tmp_path / "other")})
    assert caught.value.error_id == "resume-elsewhere"
    assert caught.value.message == f"the run in {out} goes on there, not in {tmp_path}/other"
    monkeypatch.chdir(tmp_path)
    assert resumed_config(out, {"out": "run"}).out == str(out)


def test_what_a_killed_run_left_half_written_goes(small_network: str, tmp_path: Path, train: Train) -> None:
    out = tmp_path / "run"
    _break(small_network, out, 2)
    half, mine = out / ".resume.safetensors.0123abcd.tmp", out / ".notes.txt.0123abcd.tmp"
    half.touch()
    mine.touch()
    _resume(out)
    assert (half.exists(), mine.exists()) == (False, True)
    half.touch()
    train(small_network, out, epochs=1, force=True)
    assert (half.exists(), mine.exists()) == (False, True)


def test_an_image_replaced_by_one_of_its_size_is_noticed(small_network: str, tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(10):
            Image.new("L", (16, 16), number).save(tmp_path / "photos" / name / f"{number}.bmp")
    settings = {"data": str(tmp_path / "photos"), "batch_size": 4}
    _break(small_network, tmp_path / "run", 2, **settings)
    for number in range(10):  # whichever of them are trained on
        Image.new("L", (16, 16), 200).save(tmp_path / "photos" / "ant" / f"{number}.bmp")
    with pytest.raises(TlvError) as caught:
        _resume(tmp_path / "run")
    assert caught.value.error_id == "data-changed"


def test_a_constant_rate_lets_a_run_grow(small_network: str, tmp_path: Path, train: Train) -> None:
    train(small_network, tmp_path / "whole", epochs=3, schedule="constant")
    train(small_network, tmp_path / "grown", epochs=2, schedule="constant")
    with pytest.raises(TlvError, match=r"the run in .* is finished") as caught:
        resumed_config(tmp_path / "grown", {})
    assert caught.value.error_id == "run-finished"
    assert len(_resume(tmp_path / "grown", epochs=3).result.epochs) == 3
    _assert_same(tmp_path / "whole", tmp_path / "grown")


def test_states_that_cannot_be_used(small_network: str, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(TlvError) as caught:
        resumed_config(out, {})
    assert caught.value.error_id == "resume-missing"
    _break(small_network, out, 2)
    state = out / "resume.safetensors"
    whole = state.read_bytes()
    state.write_bytes(whole[:-4] + bytes(4))
    with pytest.raises(TlvError, match="is damaged") as caught:
        _resume(out)
    assert caught.value.error_id == "resume-invalid"
    state.write_bytes(whole)
    network = Path(small_network.rpartition(":")[0])
    network.write_text(network.read_text().replace("nn.Dropout(0.1), ", ""))
    with pytest.raises(TlvError, match="the state of another network"):
        _resume(out)


def test_processes_that_read_images_outlive_the_first_signal() -> None:
    with stop_wishes() as wish:
        child = os.fork()
        if child == 0:
            for number in (signal.SIGINT, signal.SIGINT, signal.SIGTERM):
                os.kill(os.getpid(), number)
            os._exit(0)
        _, status = os.waitpid(child, 0)
    # SIGINT twice is left to us, then SIGTERM ends it: it is the second wish.
    assert os.WIFSIGNALED(status)
    assert os.WTERMSIG(status) == signal.SIGTERM
    assert wish.number is None

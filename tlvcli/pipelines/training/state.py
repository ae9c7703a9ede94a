"""What a run needs to go on where it stopped: its place, its settings, what it was made from, what came so far."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.core.report import InputInfo, ReportPart
from tlvcli.data.datasets import TrainingData
from tlvcli.data.fingerprint import fingerprint
from tlvcli.io.safetensors_header import read_header
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.job import EpochResult
from tlvcli.pipelines.training.run_folder import RunFolder
from tlvcli.pipelines.training.tally import RunningEpoch

STATE_KIND = "resume"
# What may differ from the run's first start: where things are and how they are computed, not what is learned. Files
# and data are known by their content, wherever they lie now.
_FREE = frozenset(
    {"checkpoint", "data", "mask", "crossover", "out", "device", "workers", "checkpoint_every", "tensorboard"}
    | {"download", "offline", "dry_run", "force"}
)


class RunState(ReportPart):
    """The metadata of `resume.safetensors`, which `resume.json` repeats for people.

    No generator's state is among it: whatever training draws is seeded by the seed of the run, epoch and batch.
    """

    epoch: int = Field(description="the epoch that goes on, counted from 1")
    step: int = Field(description="its optimiser steps that are done")
    running: RunningEpoch
    epochs: tuple[EpochResult, ...] = Field(description="those that are complete")
    scaler: dict[str, float] = Field(description="of the loss, under fp16")
    config: dict[str, Any] = Field(description="the settings of the run, resolved")
    inputs: dict[str, str] = Field(description="sha256 of the files that it began with, by role")
    data: dict[str, str] = Field(description="fingerprints of its images and labels, by split")


def read_state(folder: RunFolder) -> RunState:
    """Return the last complete state of the run.

    Raises:
        TlvError: `resume-missing`, `resume-invalid`, or what is wrong with the file.
    """
    if not folder.state_path.is_file():
        raise TlvError(
            "resume-missing",
            f"{folder.path} holds no state to resume from",
            "it is written after every epoch, on an interrupt, and every --checkpoint-every steps; begin with --force",
        )
    metadata = read_header(folder.state_path).metadata
    try:
        return RunState.model_validate_json(metadata[STATE_KIND])
    except (KeyError, ValidationError) as error:
        raise TlvError(
            "resume-invalid",
            f"{folder.state_path} is no state of a run that this version of tlv can go on with",
            "begin with --force, or start another run from the checkpoint last.safetensors",
        ) from error


def resumed_config(run_dir: Path, given: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of the run in `run_dir`; of those `given` now, only some may differ from them.

    More epochs are possible where no schedule spans them: with `constant`.

    Raises:
        TlvError: `resume-elsewhere` where `out` is another folder, `resume-differs`, naming every difference,
            `run-finished`, or why the state cannot be read.
    """
    folder = RunFolder(run_dir)
    saved = read_state(folder)
    out = given.get("out")
    if out is not None and Path(out).resolve() != run_dir.resolve():
        raise TlvError(
            "resume-elsewhere",
            f"the run in {run_dir} goes on there, not in {out}",
            f"leave --out out; to keep the run as it is, copy it: cp -r {run_dir} {out}, then --resume {out}",
        )
    then = parse_config(TrainConfig, saved.config)
    now = parse_config(TrainConfig, {**saved.config, **given, "out": str(run_dir), "dry_run": False, "force": False})
    free = _FREE | ({"epochs"} if then.schedule == "constant" and now.epochs > len(saved.epochs) else frozenset())
    differing = [
        f"{key} was {getattr(then, key)} and would be {getattr(now, key)}"
        for key in TrainConfig.model_fields
        if key not in free and getattr(then, key) != getattr(now, key)
    ]
    if differing:
        raise TlvError(
            "resume-differs",
            f"the run in {run_dir} has other settings: {'; '.join(differing)}",
            "--resume takes them from the run; leave them out, or start another run from its last.safetensors",
        )
    if folder.report_path.exists() and now.epochs == then.epochs:
        raise TlvError(
            "run-finished",
            f"the run in {run_dir} is finished",
            f"tlv eval {folder.best_path} --data DATA measures it; --force with all settings begins anew",
        )
    return now


def hashes_by_role(inputs: list[InputInfo]) -> dict[str, str]:
    """Return the hash of each file that a run begins with, by its role; of a random start the name."""
    return {entry.role: entry.sha256 or entry.path for entry in inputs}


def fingerprints(data: TrainingData) -> dict[str, str]:
    """Return the fingerprint of each split."""
    return {"train": fingerprint(data.train), "val": fingerprint(data.val)}


def refuse_changes(saved: RunState, inputs: Mapping[str, str], data: Mapping[str, str]) -> None:
    """Raise `input-changed` or `data-changed` where the run did not begin with these."""
    for role, found in inputs.items():
        known = saved.inputs.get(role, "none")
        if found != known:
            raise TlvError(
                "input-changed",
                f"the {role} is not the one that the run began with ({known})",
                f"give that one as the {role}, or begin another run",
            )
    changed = [split for split, known in saved.data.items() if data[split] != known]
    if changed:
        raise TlvError(
            "data-changed",
            f"the images or labels of {' and '.join(changed)} are not those that the run began with",
            "bring them back, or start another run from its last.safetensors",
        )


def state_text(state: RunState, sha256: str) -> str:
    """Return the content of `resume.json`; `sha256` is that of the tensors' file."""
    return json.dumps({"sha256": sha256, **state.model_dump(mode="json")}, indent=2) + "\n"

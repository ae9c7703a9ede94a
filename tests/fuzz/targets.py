"""The readers of foreign files, each as a function of a path that may raise nothing but a TlvError."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hypothesis import strategies as st

from tests.fuzz import seeds
from tests.fuzz.mutations import PICKLE_TOKENS, TEXT_TOKENS, Edit, damage, edits
from tests.fuzz.seeds import Seed
from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import Layer, ModelGraph, TensorSpec
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.config_files import read_settings
from tlvcli.methods.finetuning.masks import resolve_masks
from tlvcli.pipelines.inspect import InspectConfig
from tlvcli.pipelines.inspect import run as inspect
from tlvcli.pipelines.inspection.verification import verify
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.plan import describe_mask
from tlvcli.pipelines.transferring.plans import open_plan


@dataclass(frozen=True)
class Target:
    """A reader, the name its files have, and the valid files that are damaged for it."""

    name: str
    file_name: Callable[[Seed], str]
    seeds: tuple[Seed, ...]
    prepare: Callable[[Path], None]
    read: Callable[[Path], object]


def _nothing(folder: Path) -> None: ...


def _place_shard(folder: Path) -> None:
    (folder / seeds.SHARD_NAME).write_bytes(seeds.shard())


def _place_checkpoint(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(seeds.shard())


def _place_arrays(folder: Path) -> None:
    (folder / "plan.safetensors").write_bytes(seeds.shard())


def _read_checkpoint(path: Path) -> None:
    inspect(InspectConfig(checkpoint=str(path), stats=True)).to_json()


def _read_mask(path: Path) -> None:
    describe_mask(path)
    file = open_checkpoint(path)
    conv = Layer("conv", "conv2d", (TensorSpec("conv.weight", (4, 3, 3, 3), "float32"),))
    graph = ModelGraph((conv,), frozenset())
    resolve_masks(graph, {spec.name: file.read(spec.name).tolist() for spec in file.specs})


def _read_config(path: Path) -> None:
    settings = read_settings(path)
    with suppress(TlvError):
        parse_config(InspectConfig, settings)
        return
    parse_config(TrainConfig, settings)


def _read_report(path: Path) -> None:
    verify(open_checkpoint(path.parent / "model.safetensors")).model_dump_json()


def _read_plan(path: Path) -> None:
    read = open_plan(path)
    for row in read.plan.rows:
        row.model_dump_json()


@cache
def targets() -> dict[str, Target]:
    """Return the readers by name."""
    digest = hashlib.sha256(seeds.shard()).hexdigest()
    found = (
        Target("checkpoint", _checkpoint_name, seeds.checkpoints(), _place_shard, _read_checkpoint),
        Target("plan", lambda seed: "plan.yaml", seeds.plans(), _place_arrays, _read_plan),
        Target("mask", lambda seed: "mask.safetensors", seeds.masks(), _nothing, _read_mask),
        Target("config", lambda seed: "config.yaml", seeds.configs(), _nothing, _read_config),
        Target("report", lambda seed: "report.json", seeds.reports(digest), _place_checkpoint, _read_report),
    )
    return {target.name: target for target in found}


def _checkpoint_name(seed: Seed) -> str:
    return "model.safetensors.index.json" if seed.name == "index" else "model.pt"


def damaged_files(target: Target) -> st.SearchStrategy[tuple[Seed, bytes]]:
    """Return what draws one of the target's files, damaged."""
    return st.builds(_damaged, st.sampled_from(target.seeds), edits)


def _damaged(seed: Seed, changes: list[Edit]) -> tuple[Seed, bytes]:
    return seed, seed.wrap(damage(seed.data, changes, PICKLE_TOKENS if seed.is_pickle else TEXT_TOKENS))


def let_read(target: Target, file_name: str, content: bytes, folder: Path) -> str:
    """Have the target read this content, and return the id of the error, or nothing where it was read.

    Anything else that is raised is what the search is for.
    """
    path = folder / file_name
    path.unlink(missing_ok=True)  # what is still mapped of the last one stays as it was
    path.write_bytes(content)
    try:
        target.read(path)
    except TlvError as error:
        _refuse_odd(error)
        return error.error_id
    return ""


def _refuse_odd(error: TlvError) -> None:
    assert (error.exit_code, bool(error.message), bool(error.hint)) == (2, True, True), error
    assert len(error.message) < 200_000, f"a message of {len(error.message)} characters"

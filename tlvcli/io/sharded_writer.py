"""A checkpoint written as several files and their index, as transformers and diffusers lay them out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import atomic_files, refuse_existing
from tlvcli.io.formats import INDEX_SUFFIX
from tlvcli.io.hashing import hash_file
from tlvcli.io.safetensors_header import ITEM_BYTES
from tlvcli.io.safetensors_writer import Place, write_header, write_safetensors, write_tensors
from tlvcli.io.sharded import read_index

if TYPE_CHECKING:
    from torch import Tensor

# All are open while tensors come in any order, and a process may open no more than about a thousand.
MAX_SHARDS = 500


@dataclass(frozen=True)
class ShardPlan:
    """Which tensors go into which file: `path` alone, or shards named after it and an index of them."""

    path: Path
    shards: tuple[tuple[TensorSpec, ...], ...]

    @property
    def is_sharded(self) -> bool:
        """Whether one file is not enough."""
        return len(self.shards) > 1

    @property
    def index_path(self) -> Path:
        """`model.safetensors.index.json` for `model.safetensors`."""
        return self.path.with_name(self.path.name + INDEX_SUFFIX)

    @property
    def files(self) -> tuple[Path, ...]:
        """Every file of the checkpoint, an index last."""
        if not self.is_sharded:
            return (self.path,)
        total = len(self.shards)
        names = (f"{self.path.stem}-{number:05d}-of-{total:05d}.safetensors" for number in range(1, total + 1))
        return (*(self.path.with_name(name) for name in names), self.index_path)

    def stale_files(self) -> tuple[Path, ...]:
        """Return what an earlier checkpoint of this name leaves beside a sharded one, to be taken away with it.

        That is the single file, which loaders would prefer to the index, and shards that only the old index lists.
        """
        if not self.is_sharded:
            return ()
        old: set[str] = {self.path.name}
        with suppress(TlvError, OSError):  # an index that says nothing lists nothing
            ours = re.compile(re.escape(self.path.stem) + r"-\d{5}-of-\d{5}\.safetensors")
            old |= {name for name in read_index(self.index_path).values() if ours.fullmatch(name)}
        found = (self.path.with_name(name) for name in sorted(old))
        return tuple(path for path in found if path.is_file() and path not in self.files)


def plan_shards(path: Path, specs: Sequence[TensorSpec], shard_bytes: int | None) -> ShardPlan:
    """Fill shards in the order of `specs` up to `shard_bytes` of tensors; one larger than that has its own.

    Raises:
        TlvError: `too-many-shards`.
    """
    if shard_bytes is None:
        return ShardPlan(path, (tuple(specs),))
    shards: list[tuple[TensorSpec, ...]] = []
    current: list[TensorSpec] = []
    filled = 0
    for spec in specs:
        num_bytes = _num_bytes(spec)
        if num_bytes > shard_bytes:
            shards.append((spec,))
            continue
        if filled + num_bytes > shard_bytes:
            shards.append(tuple(current))
            current, filled = [], 0
        current.append(spec)
        filled += num_bytes
    plan = ShardPlan(path, (*shards, tuple(current)) if current else tuple(shards))
    if len(plan.shards) > MAX_SHARDS:
        raise TlvError(
            "too-many-shards",
            f"shards of {shard_bytes} bytes make {len(plan.shards)} files",
            f"--shard-size with a larger size; {MAX_SHARDS} files are the most",
        )
    return plan


def refuse_existing_files(plan: ShardPlan, *, force: bool) -> None:
    """Raise `output-exists` unless all files are free or may be replaced; stale ones are in the way too."""
    for path in (*plan.files, *plan.stale_files()):
        refuse_existing(path, force=force)


def write_sharded(
    plan: ShardPlan, tensors: Iterable[tuple[str, Tensor]], *, metadata: Mapping[str, str], force: bool
) -> tuple[OutputInfo, ...]:
    """Write one tensor after the other, in whatever order they come; all files or none.

    With `force`, stale files of an earlier checkpoint are removed at the end.

    Args:
        plan: the files and the tensors in them.
        tensors: names and values, on any device; one at a time is held.
        metadata: text that the header of every shard carries.
        force: whether existing files may be replaced.

    Returns:
        The checkpoint (the file or the index), then its shards.

    Raises:
        TlvError: `output-exists`, `output-not-writable` or `no-space`.
    """
    (specs, *_) = plan.shards
    if not plan.is_sharded:
        sha256 = write_safetensors(plan.path, specs, tensors, metadata=metadata, force=force)
        return (OutputInfo(role="checkpoint", path=str(plan.path), sha256=sha256),)
    refuse_existing_files(plan, force=force)
    stale = plan.stale_files()
    with atomic_files(plan.files, force=force) as (*streams, index):
        places: dict[str, Place] = {}
        for stream, specs in zip(streams, plan.shards, strict=True):
            places |= write_header(stream, specs, metadata)
        write_tensors(places, tensors)
        index.write(_index_text(plan).encode())
    for path in stale:
        with suppress(OSError):
            path.unlink()
    *shards, index_path = plan.files
    return (
        OutputInfo(role="checkpoint", path=str(index_path), sha256=hash_file(index_path)),
        *(OutputInfo(role="shard", path=str(path), sha256=hash_file(path)) for path in shards),
    )


def _index_text(plan: ShardPlan) -> str:
    by_name = zip(plan.files, plan.shards, strict=False)
    content = {
        "metadata": {"total_size": sum(_num_bytes(spec) for specs in plan.shards for spec in specs)},
        "weight_map": {spec.name: path.name for path, specs in by_name for spec in specs},
    }
    return json.dumps(content, indent=2, sort_keys=True) + "\n"


def _num_bytes(spec: TensorSpec) -> int:
    return spec.num_elements * ITEM_BYTES[spec.dtype]

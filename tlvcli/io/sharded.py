"""A checkpoint in several files: an index that says which tensor lies in which, checked against all of them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from tlvcli.core.errors import TlvError, printable
from tlvcli.io.formats import recognise_format
from tlvcli.io.safetensors_header import corrupt_file
from tlvcli.io.stored_tensors import StoredTensors, stored_in_safetensors, stored_in_torch_file
from tlvcli.io.strict_json import JsonFaultError, parse_object

# The indexes of the largest language models have half of it, for a hundred thousand tensors.
MAX_INDEX_BYTES = 20_000_000
# No file system in use takes longer names, and asking one raises.
_MAX_NAME_BYTES = 255


def stored_in_shards(path: Path) -> StoredTensors:
    """Open the shards that an index lists and check that they hold what it says, each tensor once.

    Args:
        path: the index, as Hugging Face writes it beside safetensors files or pickles.

    Raises:
        TlvError: `checkpoint-corrupt`, `checkpoint-unsafe`, `checkpoint-shard-missing`, or what is wrong with a shard.
    """
    places = read_index(path)
    files = {name: _find_shard(path, name) for name in sorted(set(places.values()))}
    shards = {name: _open_shard(path, file) for name, file in files.items()}
    _refuse_disagreement(path, places, shards)
    metadata: dict[str, str] = {}
    for shard in shards.values():
        metadata = {**shard.metadata, **metadata}  # where shards differ, the first one counts
    return StoredTensors(
        specs=tuple(spec for shard in shards.values() for spec in shard.specs),
        files=(path, *files.values()),
        num_bytes=path.stat().st_size + sum(shard.num_bytes for shard in shards.values()),
        metadata=metadata,
        reader=lambda name: shards[places[name]].reader(name),
        bytes_reader=lambda name: shards[places[name]].bytes_reader(name),
        left_out=tuple(entry for shard in shards.values() for entry in shard.left_out),
        shared=tuple(group for shard in shards.values() for group in shard.shared),
    )


def read_index(path: Path) -> dict[str, str]:
    """Return the name of its shard for every tensor; each is a plain file name."""
    if path.stat().st_size > MAX_INDEX_BYTES:
        raise corrupt_file(path, f"is an index of more than {MAX_INDEX_BYTES} bytes")
    try:
        places = parse_object(path.read_bytes()).get("weight_map")
    except JsonFaultError as error:
        raise corrupt_file(path, f"is an index {error}") from error
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise corrupt_file(path, "has no weight_map from tensors to files")
    for name in set(places.values()):
        _refuse_path(path, name)
    return places


def _refuse_path(index: Path, name: str) -> None:
    is_plain = name not in ("", ".", "..") and not {"/", "\\", ":"} & set(name) and name == printable(name)
    if not is_plain or len(name.encode()) > _MAX_NAME_BYTES:
        raise TlvError(
            "checkpoint-unsafe",
            f"{index} lists {name!r}, which is not the plain name of a file",
            "shards lie beside their index; nothing else was opened",
        )


def _find_shard(index: Path, name: str) -> Path:
    path = index.parent / name
    # A cache of Hugging Face links index and shards to one other folder; any other link leads astray.
    if _resolve(path).parent not in {_resolve(index.parent), _resolve(index).parent}:
        raise TlvError(
            "checkpoint-unsafe",
            f"{path} is a link out of the folder of its index",
            "put the shard itself beside the index; nothing was opened",
        )
    if not path.exists():
        raise TlvError(
            "checkpoint-shard-missing",
            f"{index} lists {name}, which is not beside it",
            "fetch the missing file into the same folder",
        )
    return path


def _resolve(path: Path) -> Path:
    # Not `Path.resolve`, which raises on a link to itself.
    return Path(os.path.realpath(path))


def _open_shard(index: Path, path: Path) -> StoredTensors:
    format = recognise_format(path)
    if format == "sharded":
        raise corrupt_file(index, f"lists {path.name}, which is an index itself")
    return stored_in_safetensors(path) if format == "safetensors" else stored_in_torch_file(path, format)


def _refuse_disagreement(index: Path, places: Mapping[str, Any], shards: Mapping[str, StoredTensors]) -> None:
    """Raise unless every tensor lies in the shard that the index names, and in no other."""
    held = {name: {spec.name for spec in shard.specs} for name, shard in shards.items()}
    for tensor, shard in places.items():
        if tensor not in held[shard]:
            _disagree(index, f"places {tensor} in {shard}, which does not hold it")
    for shard, tensors in held.items():
        for tensor in sorted(tensors):
            if places.get(tensor) != shard:
                _disagree(index, f"does not place {tensor} in {shard}, which holds it")


def _disagree(index: Path, what: str) -> NoReturn:
    raise TlvError(
        "checkpoint-corrupt",
        f"{index} {what}",
        "index and shards come from different versions; fetch all of them again",
    )

"""`tlv inspect --verify`: whether a checkpoint, its reports and the files it was made from still agree."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, Literal

from pydantic import Field

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Ancestor, MadeBy
from tlvcli.core.report import ReportPart
from tlvcli.io.checkpoint import Checkpoint, hash_checkpoint, open_checkpoint
from tlvcli.io.formats import INDEX_SUFFIX
from tlvcli.io.hashing import hash_file
from tlvcli.io.strict_json import JsonFaultError, parse_object

# A report of ours holds a row for each tensor at most; what is larger is none, or not meant to be read.
_MOST_REPORT_BYTES = 100_000_000


class VerifiedAncestor(ReportPart):
    """One file that the checkpoint, or one of its ancestors, was made from."""

    name: str = Field(description="as the metadata have it")
    sha256: str = Field(description="as the metadata have it")
    generation: int = Field(description="1 for what the checkpoint was made from, 2 for what that was made from")
    status: Literal["holds", "changed", "missing", "unsafe name"] = Field(
        description="holds: found with this hash; changed: found under this name, but with another hash; "
        "missing: not found; unsafe name: not looked for, as the name is none of a plain file"
    )
    path: str | None = Field(description="where it was found, else null")
    found_sha256: str | None = Field(description="null where it was not found")


class VerifiedReport(ReportPart):
    """One report beside the checkpoint that names it as an output."""

    path: str
    status: Literal["holds", "changed"] = Field(description="whether the checkpoint has the hash that it names")
    sha256: str = Field(description="of the checkpoint, as the report has it")


class VerificationSection(ReportPart):
    """The checkpoint's hash, and what of its history could be confirmed."""

    sha256: str
    made_by: str | None = Field(description="command and method; null: no provenance, written by another tool")
    ancestors: list[VerifiedAncestor] = Field(description="each directly before its own ancestors")
    reports: list[VerifiedReport]
    holds: bool = Field(description="nothing has changed; what is missing does not count")


def verify(checkpoint: Checkpoint, sha256: str | None = None) -> VerificationSection:
    """Hash the checkpoint, its reports' entries and its ancestors, beside it, here and in the torch hub cache.

    Args:
        checkpoint: the checkpoint.
        sha256: its hash where it is known already.
    """
    own = sha256 or hash_checkpoint(checkpoint)
    made_by = checkpoint.provenance.made_by if checkpoint.provenance else None
    folders = (checkpoint.path.parent, Path(), _hub_folder())
    hash_once = cache(_hash_path)
    ancestors = list(_verify_all(made_by, 1, checkpoint, folders, hash_once)) if made_by else []
    reports = list(_verify_reports(checkpoint.path, own))
    return VerificationSection(
        sha256=own,
        made_by=f"tlv {made_by.command} ({made_by.method})" if made_by else None,
        ancestors=ancestors,
        reports=reports,
        holds="changed" not in {*(one.status for one in ancestors), *(one.status for one in reports)},
    )


_Hash = Callable[[Path], str | None]


def _verify_all(
    made_by: MadeBy, generation: int, checkpoint: Checkpoint, folders: Sequence[Path], hash_once: _Hash
) -> Iterator[VerifiedAncestor]:
    for ancestor in made_by.made_from:
        yield _verify_one(ancestor, generation, checkpoint, folders, hash_once)
        if ancestor.made_by:
            yield from _verify_all(ancestor.made_by, generation + 1, checkpoint, folders, hash_once)


def _verify_one(
    ancestor: Ancestor, generation: int, checkpoint: Checkpoint, folders: Sequence[Path], hash_once: _Hash
) -> VerifiedAncestor:
    is_plain = _is_plain_name(ancestor.name)
    paths = list(dict.fromkeys(folder / ancestor.name for folder in folders)) if is_plain else []
    found = {
        path: sha256
        for path in paths
        # A run of training leaves files of the same names as the run that it started from.
        if not _is_same_file(path, checkpoint.path) and (sha256 := hash_once(path))
    }
    path = next((path for path, sha256 in found.items() if sha256 == ancestor.sha256), None)
    status: Literal["holds", "changed", "missing", "unsafe name"]
    if not is_plain:
        status = "unsafe name"
    elif path:
        status = "holds"
    else:
        path = next((path for path in found if not _descends_from(path, ancestor.sha256)), None)
        status = "changed" if path else "missing"
    return VerifiedAncestor(
        name=ancestor.name,
        sha256=ancestor.sha256,
        generation=generation,
        status=status,
        path=str(path) if path else None,
        found_sha256=found[path] if path else None,
    )


def _is_plain_name(name: str) -> bool:
    """Return whether a name from foreign metadata stays within a folder, on any system."""
    is_one_part = PurePosixPath(name).name == name == PureWindowsPath(name).name
    return is_one_part and name not in ("", ".", "..") and name.isprintable() and len(name.encode()) <= 255


def _is_same_file(path: Path, other: Path) -> bool:
    return path.exists() and path.samefile(other)


def _hash_path(path: Path) -> str | None:
    """Return the hash of a file, or of an index with its shards; None where there is no such file.

    Raises:
        TlvError: `checkpoint-unreadable`.
    """
    if not path.is_file():
        return None
    if path.name.endswith(INDEX_SUFFIX):
        # A damaged index, or one without its shards, is not what it was: then its own bytes will do.
        with suppress(TlvError):
            return hash_checkpoint(open_checkpoint(path))
    try:
        return hash_file(path)
    except OSError as error:
        raise TlvError(
            "checkpoint-unreadable",
            f"cannot read {path}: {error.strerror}",
            "it has the name of an ancestor; allow reading it, or move it elsewhere",
        ) from error


def _descends_from(path: Path, sha256: str) -> bool:
    """Return whether a file was itself made from the one that is looked for, and so is another of the same name."""
    if not path.name.endswith((".safetensors", INDEX_SUFFIX)):  # nothing else of ours is a checkpoint
        return False
    try:
        provenance = open_checkpoint(path).provenance
    except TlvError:
        return False
    return provenance is not None and sha256 in _hashes(provenance.made_by)


def _hashes(made_by: MadeBy) -> Iterator[str]:
    for ancestor in made_by.made_from:
        yield ancestor.sha256
        if ancestor.made_by:
            yield from _hashes(ancestor.made_by)


def _hub_folder() -> Path:
    """Return the torch hub's cache of checkpoints, as torch finds it, without importing torch."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", str(Path(cache_home) / "torch"))
    return Path(home).expanduser() / "hub" / "checkpoints"


def _verify_reports(path: Path, own: str) -> Iterator[VerifiedReport]:
    for place in (path.with_suffix(".report.json"), path.parent / "report.json"):
        for output in _outputs_of_report(place):
            sha256, named = output.get("sha256"), output.get("path")
            if isinstance(sha256, str) and isinstance(named, str) and Path(named).name == path.name:
                status: Literal["holds", "changed"] = "holds" if sha256 == own else "changed"
                yield VerifiedReport(path=str(place), status=status, sha256=sha256)


def _outputs_of_report(path: Path) -> list[dict[str, Any]]:
    """Return the outputs that a report of ours lists; none where the file is something else."""
    if not path.is_file() or path.stat().st_size > _MOST_REPORT_BYTES:
        return []
    try:
        report = parse_object(path.read_bytes())
    except (OSError, JsonFaultError):
        return []
    if not str(report.get("schema", "")).startswith("tlv."):
        return []
    outputs = report.get("outputs")
    return [output for output in outputs if isinstance(output, dict)] if isinstance(outputs, list) else []

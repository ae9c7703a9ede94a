"""The sha256 of a file, and of a set of files as a shell can repeat it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

# Large enough that reading costs nothing beside hashing, small enough for the cache of a core.
_CHUNK_BYTES = 1 << 20


def hash_file(path: Path) -> str:
    """Return the sha256 of a file, in hex; other threads run meanwhile."""
    digest = hashlib.sha256()
    buffer = memoryview(bytearray(_CHUNK_BYTES))
    with path.open("rb", buffering=0) as stream:
        while num_bytes := stream.readinto(buffer):
            digest.update(buffer[:num_bytes])
    return digest.hexdigest()


def hash_files(paths: Sequence[Path]) -> str:
    """Return the sha256 of one file, or of what `sha256sum` prints for several in one folder, sorted by name.

    In the folder: `LC_ALL=C; sha256sum INDEX SHARD... | sort -k 2 | sha256sum`.
    """
    if len(paths) == 1:
        return hash_file(paths[0])
    by_name = sorted(paths, key=lambda path: path.name.encode())
    lines = "".join(f"{hash_file(path)}  {path.name}\n" for path in by_name)
    return hashlib.sha256(lines.encode()).hexdigest()

"""Which Python files of architectures may run: those that the user named, as they were then.

A checkpoint that tlv wrote of a network of yours names the file it was built from, `FILE.py:callable`. Whoever made the
checkpoint chose that name, so it alone runs nothing. What you name yourself is noted by its content: the file may move,
and asks again once it was changed.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from tlvcli.core.errors import TlvError
from tlvcli.io.hashing import hash_file
from tlvcli.models.names import user_file
from tlvcli.pipelines.training.cache_folder import cache_folder

VARIABLE = "TLV_TRUST_ARCHITECTURES"
_ALL = "1"


def note_named(name: str) -> None:
    """Note that the user named architecture `name`; where that is a file, its content may run from now on.

    It is a file in the user's cache, called by the sha256; where none can be written, it holds for this process and
    those that it starts.
    """
    file = user_file(name)
    if file is None or not file.is_file() or is_trusted(name):
        return
    sha256 = hash_file(file)
    try:
        folder = cache_folder("architectures")
        folder.mkdir(parents=True, exist_ok=True)
        # That it exists is all that counts, so it is there or not, whoever writes at the same time.
        (folder / sha256).write_text(f"{file.absolute()}\n", encoding="utf-8", errors="surrogateescape")
    except OSError:  # a cache that is read-only, a full disk, no home
        os.environ[VARIABLE] = ",".join(filter(None, (os.environ.get(VARIABLE), sha256)))


def is_trusted(name: str, environment: Mapping[str, str] = os.environ) -> bool:
    """Return whether building architecture `name` runs nothing but what is installed, or what the user named before.

    The variable TLV_TRUST_ARCHITECTURES adds to that the files whose sha256 it lists, or with 1 all.
    """
    file = user_file(name)
    if file is None or not file.is_file():
        return True
    also = environment.get(VARIABLE, "").split(",")
    if _ALL in also:
        return True
    sha256 = hash_file(file)
    return sha256 in also or (cache_folder("architectures") / sha256).exists()


def not_trusted(reference: str, name: str) -> TlvError:
    """Return the error that says which file `reference` would have run."""
    return TlvError(
        "architecture-untrusted",
        f"{reference} says it is {name}, a file that you have not named before as it is now",
        f"look into the file, then name it once, as in --arch {name}; {VARIABLE}={_ALL} lets all run",
    )

"""Writing a file so that a reader sees the old one or the new one, never half of either."""

from __future__ import annotations

import errno
import os
import re
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from tlvcli.core.errors import TlvError


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raise `output-exists` unless `path` is free or may be replaced; called before the work starts."""
    try:
        is_folder, has_folder, exists = path.is_dir(), path.parent.is_dir(), path.exists()
    except OSError as error:  # a name that is too long, a folder that may not be searched
        raise _describe(error, path) from error
    if is_folder:
        raise TlvError("output-is-directory", f"{path} is a directory", "name a file for the output")
    if not has_folder:
        raise TlvError("output-folder-missing", f"{path.parent} is not a folder", f"mkdir -p {path.parent}")
    if exists and not force:
        raise TlvError("output-exists", f"{path} exists", "--force replaces it, or name another output")


@contextmanager
def atomic_file(path: Path, *, force: bool) -> Iterator[BinaryIO]:
    """Give a temporary sibling to write to; flush it to disk and rename it to `path` if the block succeeds.

    Raises:
        TlvError: `output-exists`, `output-not-writable`, `no-space` or `checkpoint-changed`; the old file is untouched.
    """
    with atomic_files([path], force=force) as (stream,):
        yield stream


@contextmanager
def atomic_files(paths: Sequence[Path], *, force: bool) -> Iterator[list[BinaryIO]]:
    """Give a temporary sibling of each path to write to; rename all of them if the block succeeds.

    The last file is the one that makes a set of the others: it comes last, and an old one goes first, so that none
    lists a mixture. After a failure no new file is there, and only one on the way of renaming costs old ones.

    Raises:
        TlvError: as `atomic_file`.
    """
    for path in paths:
        refuse_existing(path, force=force)
    waiting: dict[Path, Path] = {}
    placed: list[Path] = []
    try:
        with ExitStack() as stack:
            streams = [stack.enter_context(_temporary(path, waiting)) for path in paths]
            yield streams
            for stream in streams:
                stream.flush()
                os.fsync(stream.fileno())
        if force and len(paths) > 1:
            paths[-1].unlink(missing_ok=True)
        for path in paths:
            _put_in_place(waiting[path], path, force=force)
            placed.append(path)
        waiting.clear()
        _flush_folder(paths[-1].parent)
    except OSError as error:
        raise _describe(error, paths[-1]) from error
    finally:
        for file in (*waiting.values(), *placed) if waiting else ():
            with suppress(OSError):
                file.unlink()


def remove_stale(paths: Iterable[Path]) -> None:
    """Delete the temporary siblings of `paths` that a killed process left; nobody may be writing to these paths.

    Raises:
        OSError: why one cannot be deleted, or its folder not be read.
    """
    for file in stale_files(paths):
        file.unlink(missing_ok=True)


def stale_files(paths: Iterable[Path]) -> list[Path]:
    """Return the temporary siblings of `paths`: of processes that are writing, or were killed while they were.

    Raises:
        OSError: why a folder cannot be read.
    """
    found = []
    for path in paths:
        temporary = re.compile(rf"{re.escape(_stem(path))}[0-9a-f]{{8}}\.tmp")
        found += [file for file in path.parent.iterdir() if temporary.fullmatch(file.name)]
    return found


def _stem(path: Path) -> str:
    return f".{path.name[:200]}."


def _temporary(path: Path, waiting: dict[Path, Path]) -> BinaryIO:
    temporary = path.parent / f"{_stem(path)}{secrets.token_hex(4)}.tmp"
    waiting[path] = temporary  # before it is there: an interrupt may come as soon as it is
    try:
        # Not `tempfile`: the file shall have the permissions that the user's umask gives any new file.
        descriptor = os.open(temporary, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
    except OSError:
        del waiting[path]
        raise
    return os.fdopen(descriptor, "w+b")


def _put_in_place(temporary: Path, path: Path, *, force: bool) -> None:
    if force:
        temporary.replace(path)
        return
    try:
        # A link, unlike a rename, fails when another process made the file since we looked.
        os.link(temporary, path)
    except FileExistsError:
        refuse_existing(path, force=False)
        raise
    except OSError:  # a file system without hard links
        temporary.replace(path)
    else:
        temporary.unlink()


def _flush_folder(folder: Path) -> None:
    with suppress(OSError):  # not every file system lets a folder be flushed
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _describe(error: OSError, path: Path) -> TlvError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return TlvError("no-space", f"no space left to write {path}", "free some space; nothing was replaced")
    if error.errno == errno.EFAULT:  # what is written is mapped from a file, and its pages are gone
        return TlvError(
            "checkpoint-changed",
            f"a file that {path} was to be made from was cut short meanwhile",
            "run again when it is complete; nothing was replaced",
        )
    reason = error.strerror or str(error)
    return TlvError(
        "output-not-writable", f"cannot write {path}: {reason}", "choose another name, or a folder you may write to"
    )

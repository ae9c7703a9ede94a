"""The members of a zip archive that torch.save wrote, where no two readers can disagree about them."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tlvcli.core.errors import TlvError

# Some eighty bytes a tensor; without a limit, a list of names alone could fill the memory.
MAX_DIRECTORY_BYTES = 8_000_000
# Weights hardly shrink, so an archive that was packed again is not far smaller than its content.
FREE_BYTES = 50_000_000
MAX_RATIO = 20

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END64 = struct.Struct("<4sQ2H2L4Q")
_MEMBER = struct.Struct("<4s5H3L2H")


def read_members(path: Path) -> tuple[zipfile.ZipInfo, ...]:
    """Return what the archive's table of contents lists.

    Raises:
        zipfile.BadZipFile: it is cut off, or damaged, or stands where another reader would look for another one.
        TlvError: `checkpoint-corrupt`, where the list itself is a bomb.
    """
    num_bytes = _find_directory(path)
    if num_bytes > MAX_DIRECTORY_BYTES:
        raise _corrupt(path, f"has a table of contents of {num_bytes} bytes; {MAX_DIRECTORY_BYTES} is the most")
    with zipfile.ZipFile(path) as archive:
        return tuple(archive.infolist())


def refuse_bomb(path: Path, members: Sequence[zipfile.ZipInfo]) -> None:
    """Raise `checkpoint-corrupt` where names are ambiguous or the members are far larger than the archive."""
    # torch looks names up without regard to case.
    name, number = Counter(member.filename.casefold() for member in members).most_common(1)[0]
    if number > 1:
        raise _corrupt(path, f"is a zip archive that holds {name} {number} times")
    content, size = sum(member.file_size for member in members), path.stat().st_size
    is_stored = all(member.compress_type == zipfile.ZIP_STORED for member in members)
    if content > (size if is_stored else max(FREE_BYTES, MAX_RATIO * size)):
        raise _corrupt(path, f"is a zip archive of {size} bytes that says it holds {content}")


def read_member(path: Path, member: zipfile.ZipInfo, *, most_bytes: int) -> bytes:
    """Return at most `most_bytes` of a member's content, found as torch finds it: by the table of contents alone.

    Raises:
        OSError, struct.error, zlib.error: it cannot be read.
    """
    with path.open("rb") as stream:
        stream.seek(member.header_offset)
        *_, name_bytes, extra_bytes = _MEMBER.unpack(stream.read(_MEMBER.size))
        stream.seek(name_bytes + extra_bytes, os.SEEK_CUR)
        raw = stream.read(min(member.compress_size, most_bytes))
    return raw if member.compress_type == zipfile.ZIP_STORED else zlib.decompressobj(-15).decompress(raw, most_bytes)


def _find_directory(path: Path) -> int:
    """Return the size of the table of contents, which ends where the records that point to it begin."""
    size = path.stat().st_size
    with path.open("rb") as stream:
        stream.seek(max(0, size - _END.size - _LOCATOR.size - _END64.size))
        tail = stream.read()
    try:
        magic, *_, entries, num_bytes, begin, comment_bytes = _END.unpack(tail[-_END.size :])
        reached = size - _END.size
        if magic != b"PK\x05\x06" or comment_bytes:
            raise zipfile.BadZipFile
        locator = tail[-_END.size - _LOCATOR.size : -_END.size]
        if locator.startswith(b"PK\x06\x07"):
            reached -= _LOCATOR.size + _END64.size
            _, _, place, _ = _LOCATOR.unpack(locator)
            magic, *_, entries64, num_bytes64, begin64 = _END64.unpack(tail[: _END64.size])
            narrow = ((entries, entries64, 0xFFFF), (num_bytes, num_bytes64, 0xFFFFFFFF), (begin, begin64, 0xFFFFFFFF))
            if (magic, place) != (b"PK\x06\x06", reached) or any(min(wide, most) != own for own, wide, most in narrow):
                raise zipfile.BadZipFile
            num_bytes, begin = num_bytes64, begin64
    except struct.error as error:
        raise zipfile.BadZipFile from error
    if begin + num_bytes != reached:
        raise zipfile.BadZipFile
    return int(num_bytes)


def _corrupt(path: Path, what: str) -> TlvError:
    return TlvError("checkpoint-corrupt", f"{path} {what}", "torch.save writes no such archive; fetch the file again")

"""Zip and tar archives that say one thing to one reader and another to the next, or hold far more than they are."""

from __future__ import annotations

import io
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from tests.hostile.case import Case
from tests.hostile.pickles import in_zip, mapping, program, storage, tensor

_BODY = mapping(w=tensor(storage("0", 4), (2, 2), (2, 1)))
_CORRUPT = ("checkpoint-corrupt",)


def _zip_by_hand(path: Path, members: Sequence[tuple[str, int, bytes, int]], *, entries: Sequence[int]) -> Path:
    """Write members (name, method, raw bytes, size that is claimed), and a table with these of them, at any number."""
    content, offsets = b"", []
    for name, method, raw, size in members:
        offsets.append(len(content))
        head = struct.pack("<4s5H3L2H", b"PK\x03\x04", 20, 0, method, 0, 33, 0, len(raw), size, len(name), 0)
        content += head + name.encode() + raw
    table = b"".join(
        struct.pack(
            "<4s6H3L5H2L", b"PK\x01\x02", 20, 20, 0, method, 0, 33, 0, len(raw), size, len(name), 0, 0, 0, 0, 0, at
        )
        + name.encode()
        for (name, method, raw, size), at in ((members[entry], offsets[entry]) for entry in entries)
    )
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, len(entries) & 0xFFFF, len(entries) & 0xFFFF, len(table), len(content), 0
    )
    path.write_bytes(content + table + end)
    return path


@cache
def _zeros(num_megabytes: int) -> bytes:
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    chunk = bytes(1_000_000)
    return b"".join(packer.compress(chunk) for _ in range(num_megabytes)) + packer.flush()


def _bomb_in_the_pickle(folder: Path) -> Path:
    members = [("a/data.pkl", 8, _zeros(300), 300_000_000)]
    return _zip_by_hand(folder / "model.pt", members, entries=[0])


def _bomb_in_a_record(folder: Path) -> Path:
    members = [("a/data.pkl", 0, program(_BODY), len(program(_BODY))), ("a/data/0", 8, _zeros(300), 300_000_000)]
    return _zip_by_hand(folder / "model.pt", members, entries=[0, 1])


def _claims_little(folder: Path) -> Path:
    members = [("a/data.pkl", 8, _zeros(300), 100)]
    return _zip_by_hand(folder / "model.pt", members, entries=[0])


def _overlapping(folder: Path) -> Path:
    raw = bytes(1_000_000)
    members = [("a/data.pkl", 0, program(_BODY), len(program(_BODY))), ("a/data/0", 0, raw, len(raw))]
    return _zip_by_hand(folder / "model.pt", members, entries=[0] + [1] * 400)


def _many_names(folder: Path) -> Path:
    members = [("a/data.pkl", 0, program(_BODY), len(program(_BODY)))]
    return _zip_by_hand(folder / "model.pt", members, entries=[0] * 300_000)


def _twice(folder: Path) -> Path:
    return in_zip(folder / "model.pt", _BODY, {"data/0": bytes(16), "DATA.PKL": program(_BODY)})


def _two_folders(folder: Path) -> Path:
    path = in_zip(folder / "model.pt", _BODY)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("other/data.pkl", program(_BODY))
    return path


def _two_tables(folder: Path) -> Path:
    """One table of contents where a reader counts from the end, another where it counts from the beginning."""
    inner = in_zip(folder / "inner.pt", _BODY).read_bytes()
    path = folder / "model.pt"
    path.write_bytes(inner + inner)
    return path


def _commented(folder: Path) -> Path:
    path = in_zip(folder / "model.pt", _BODY)
    with zipfile.ZipFile(path, "a") as archive:
        archive.comment = b"PK\x05\x06" + bytes(18)
    return path


def _encrypted(folder: Path) -> Path:
    path = in_zip(folder / "model.pt", _BODY)
    raw = bytearray(path.read_bytes())
    for magic, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        raw[raw.index(magic) + place] |= 1
    path.write_bytes(raw)
    return path


def _tar_of_an_endless_header(folder: Path) -> Path:
    path = folder / "model.tar"
    header = tarfile.TarInfo("pax")
    header.type, header.size = tarfile.XHDTYPE, (1 << 33) - 512
    with path.open("wb") as stream:
        stream.write(header.tobuf(tarfile.USTAR_FORMAT))
        stream.truncate(1 << 33)
    return path


def _tar_that_climbs(folder: Path) -> Path:
    path = folder / "model.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("../../escaped", "/tmp/escaped"):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return path


def cases() -> Iterator[Case]:
    """Bombs, ambiguous tables, and names that climb out of a folder into which nothing is ever unpacked."""
    cut_off = ("checkpoint-truncated",)
    yield Case("a pickle that unpacks to 300 MB", _bomb_in_the_pickle, _CORRUPT)
    yield Case("a record that unpacks to 300 MB", _bomb_in_a_record, _CORRUPT)
    yield Case("a pickle that unpacks to more than it says", _claims_little, _CORRUPT, needs_torch=True)
    yield Case("one record under 400 names", _overlapping, _CORRUPT)
    yield Case("a table of 300,000 names", _many_names, _CORRUPT)
    yield Case("two pickles but for the case of their names", _twice, _CORRUPT)
    yield Case("two folders with a pickle", _two_folders, _CORRUPT)
    yield Case("two tables of contents", _two_tables, cut_off)
    yield Case("a table of contents in the comment", _commented, cut_off)
    yield Case("an encrypted pickle", _encrypted, _CORRUPT, needs_torch=True)
    yield Case("a tar with an extended header of 8 GB", _tar_of_an_endless_header, ("checkpoint-packed",))
    yield Case("a tar that climbs", _tar_that_climbs, ("checkpoint-packed",))


def harmless_climbing(folder: Path) -> Path:
    """Write a checkpoint whose archive has names that climb; it is read, for nothing is unpacked."""
    return in_zip(folder / "model.pt", _BODY, {"../../escaped": b"x", "data/0": bytes(16)}, folder="..")

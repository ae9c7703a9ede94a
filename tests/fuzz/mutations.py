"""Edits of bytes, as values: a list of them says everything about a damaged file, and shrinks."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hypothesis import strategies as st

_LIMITS = (0, 1, 2, 0x7F, 0x80, 0xFF, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_TOKEN = re.compile(rb"[-+\w.]+|[\[\]{}:,]")

# What a reader of JSON or YAML may meet where it looks for something else.
TEXT_TOKENS: tuple[bytes, ...] = tuple(
    token.encode()
    for token in (
        *("0", "-1", "1.5", "1e999", "-1e999", "nan", "NaN", ".nan", "Infinity", "-.inf", "9" * 30, "9" * 5000),
        *("null", "~", "true", "''", '""', "[]", "{}", "[[]]", "{a: b}", '{"a":1}', "[", "]", "{", "}", ":", ",", "-"),
        *("2024-99-99", "2024-01-01", "12:60:61", "0x", "0o9", "!!set {a}", "!!binary x", "!!timestamp x", "!!int x"),
        *("!!python/object:os.system", "!a", "&a [*a]", "*a", "<<", "? ", "|", ">", "%", "@", "\\ud800", '"\\ud800"'),
        *(
            '"\\u0000"',
            '"a\\nb"',
            "../x",
            "/dev/zero",
            "a/b",
            "\U0001f642",
            "\x1b[31m",
            "tlv",
            "weight",
            "shape",
            "dtype",
        ),
    )
)
# Instructions and operands of pickles, and names that one may ask for.
PICKLE_TOKENS: tuple[bytes, ...] = (
    *(bytes([code]) for code in b"().0]}NQRabehjqrstu\x81\x85\x86\x87\x88\x89\x8a\x8f2"),
    *(b"K\x00", b"K\xff", b"J\xff\xff\xff\xff", b"J\xff\xff\xff\x7f", b"\x8a\x09" + b"\xff" * 9, b"G" + b"\xff" * 8),
    *(b"h\x00", b"h\x01", b"q\x00", b"r\xff\xff\xff\xff", b"X\x01\x00\x00\x00w", b"X\xff\xff\xff\x7f", b"U\x03abc"),
    *(f"c{name}\n".encode() for name in ("torch\nFloatStorage", "torch\nSize", "torch\nTensor", "torch\nfloat32")),
    *(f"ctorch._utils\n_rebuild_{name}\n".encode() for name in ("tensor_v2", "tensor_v3", "parameter", "qtensor")),
    *(f"ctorch._utils\n_rebuild_{name}\n".encode() for name in ("sparse_tensor", "meta_tensor_no_storage")),
    *(f"c{name}\n".encode() for name in ("collections\nOrderedDict", "collections\nCounter", "_codecs\nencode")),
    *(f"c{name}\n".encode() for name in ("builtins\nset", "builtins\nbytearray", "argparse\nNamespace", "os\nsystem")),
    *(b"))", b")R", b")\x81}b", b"]q\x00h\x00a", b"}q\x00X\x01\x00\x00\x00ah\x00s"),
)


@dataclass(frozen=True)
class Edit:
    """What is done, at which share of the file, and with which value."""

    kind: str
    place: float
    value: int


def _flip(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << value % 8]) + data[at + 1 :]


def _overwrite(data: bytes, at: int, value: int) -> bytes:
    number = struct.pack("<Q", _LIMITS[value % len(_LIMITS)])[: (1, 2, 4, 8)[value // 64 % 4]]
    return data[:at] + number + data[at + len(number) :]


def _cut_off(data: bytes, at: int, value: int) -> bytes:
    return data[:at]


def _remove(data: bytes, at: int, value: int) -> bytes:
    return data[:at] + data[at + 1 + value % 64 :]


def _repeat(data: bytes, at: int, value: int) -> bytes:
    piece = data[at : at + 1 + value % 256]
    return data[:at] + piece * (2 + value % 3) + data[at + len(piece) :]


_ON_BYTES: dict[str, Callable[[bytes, int, int], bytes]] = {
    "flip": _flip,
    "overwrite": _overwrite,
    "cut off": _cut_off,
    "remove": _remove,
    "repeat": _repeat,
}
_ON_TOKENS = ("insert", "replace", "copy")
# Most of the time the file shall still be of its form, so that the reader comes further.
KINDS = (*_ON_BYTES, *_ON_TOKENS * 4)

edits = st.lists(
    st.builds(Edit, st.sampled_from(KINDS), st.floats(0, 1, exclude_max=True, width=32), st.integers(0, 2**16)),
    min_size=1,
    max_size=3,
)


def damage(data: bytes, changes: Sequence[Edit], tokens: Sequence[bytes]) -> bytes:
    """Return `data` after the edits; of an empty rest nothing more is taken."""
    for edit in changes:
        if not data:
            break
        at = min(int(edit.place * len(data)), len(data) - 1)
        if edit.kind in _ON_BYTES:
            data = _ON_BYTES[edit.kind](data, at, edit.value)
        else:
            data = _with_token(data, at, edit, tokens)
    return data


def _with_token(data: bytes, at: int, edit: Edit, tokens: Sequence[bytes]) -> bytes:
    """Insert a token, put it in place of the next word, or put another word of the file there."""
    token = tokens[edit.value % len(tokens)]
    if edit.kind == "insert":
        return data[:at] + token + data[at:]
    word = _TOKEN.search(data, at)
    if word is None:
        return data + token
    if edit.kind == "copy":
        other = _TOKEN.search(data, edit.value % len(data))
        token = other[0] if other else token
    return data[: word.start()] + token + data[word.end() :]

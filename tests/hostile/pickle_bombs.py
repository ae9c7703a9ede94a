"""Pickles that call nothing forbidden, and ask for memory or time without end, or for tensors that cannot be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from tests.hostile.case import Case
from tests.hostile.pickles import (
    call,
    in_legacy,
    in_zip,
    mapping,
    name_of,
    number,
    sizes,
    storage,
    tensor,
    text,
)

_CORRUPT = ("checkpoint-corrupt",)
_UNSUPPORTED = ("checkpoint-unsupported",)
_HONEST = tensor(storage("0", 4), (2, 2), (2, 1))
_HUGE = 1 << 40


def _tuple_of_tuples() -> bytes:
    """One key that is a tuple of two tuples of two tuples: hashing it visits 2^60 of them."""
    return b"})" + b"".join(b"q\x01h\x01\x86" for _ in range(60)) + number(1) + b"s"


def _encoded(times: int) -> bytes:
    body = text("a" * 1000)
    for _ in range(times):
        body = call(name_of("_codecs", "encode"), body, text("hex"))
    return body


def _mappings_of_mappings(width: int) -> bytes:
    """Four levels, in each of which every entry is the next level; what is built first stays below on the stack."""
    body = b"}q\x00(" + text("w") + _HONEST + b"u"
    for depth in range(1, 5):
        entries = b"".join(text(f"k{entry}") + bytes([ord("h"), depth - 1]) for entry in range(width))
        body += bytes([ord("}"), ord("q"), depth]) + b"(" + entries + b"u"
    return body


def _shared_entries(width: int) -> bytes:
    """Many entries that all hold the same long list."""
    long_list = b"]q\x00(" + b"N" * width + b"e"
    entries = b"".join(text(f"k{entry}") + b"h\x00" for entry in range(width))
    return mapping(state_dict=mapping(w=_HONEST), first=long_list)[:-1] + entries + b"u"


def _as_state(value: bytes) -> bytes:
    return mapping(w=value, x=_HONEST)


def _expanded(size: int) -> bytes:
    return tensor(storage("0", 4), (size,), (0,))


def _sparse(size: int) -> bytes:
    indices = tensor(storage("0", 4, kind="LongStorage"), (1, size), (0, 0))
    values = tensor(storage("0", 4), (size,), (0,))
    layout = call(name_of("torch.serialization", "_get_layout"), text("torch.sparse_coo"))
    return call(name_of("torch._utils", "_rebuild_sparse_tensor"), layout, b"(" + indices + values + sizes(size) + b"t")


_ALLOCATING = {
    "a bytearray of 2^40 zeros": call(name_of("builtins", "bytearray"), number(_HUGE)),
    "a bytearray of Python 2": call(name_of("__builtin__", "bytearray"), number(_HUGE)),
    "an encoding of an encoding": _encoded(40),
    "a tensor of 2^40 elements from nothing": call(name_of("torch", "FloatTensor"), number(_HUGE)),
    "a plain tensor from nothing": call(name_of("torch", "Tensor"), number(_HUGE)),
    "a storage from nothing": call(name_of("torch.storage", "UntypedStorage"), number(_HUGE)),
    "a new storage from nothing": name_of("torch.storage", "UntypedStorage") + sizes(_HUGE) + b"\x81",
    "an expanded tensor of 2^40 elements": _expanded(_HUGE),
    "an expanded tensor, called through another": call(
        name_of("torch._tensor", "_rebuild_from_type_v2"),
        name_of("torch._utils", "_rebuild_tensor_v2"),
        name_of("torch", "Tensor"),
        b"(" + storage("0", 4) + number(0) + sizes(_HUGE) + sizes(0) + b"\x89" + b"}" + b"t",
        b"}",
    ),
    "a tensor whose state makes it huge": _HONEST
    + b"("
    + storage("0", 4)
    + number(0)
    + sizes(_HUGE)
    + sizes(0)
    + b"tb",
    "a sparse tensor of 2^40 indices": _sparse(_HUGE),
    "a tensor of 65 dimensions": tensor(storage("0", 4), (1,) * 65, (1,) * 65),
    "a tensor whose product overflows": tensor(storage("0", 4), (2**40, 2**40), (0, 0)),
    "a tensor with a zero and a product that overflows": tensor(storage("0", 4), (0, 2**62, 2**62), (0, 0, 0)),
    "a key that is a tuple of tuples": _tuple_of_tuples(),
    "a thousand keys that are no text": b"}(" + b"".join(sizes(entry, -entry) + b"N" for entry in range(2000)) + b"u",
    "text that is half a character": text(b"\xed\xa0\x80"),
    "a name without end": b"c" + b"a" * 100_000,
}
_FLOODS = {"empty sets": b"\x8f", "empty mappings": b"}", "marks": b"(", "None": b"N", "empty tuples": b")"}

# What torch is asked to do and refuses, or what only a look at the tensors shows.
_WRONG_TENSORS: dict[str, tuple[bytes, tuple[str, ...]]] = {
    "a tensor beyond its storage": (tensor(storage("0", 4), (4, 4), (4, 1)), _CORRUPT),
    "a tensor before its storage": (tensor(storage("0", 4), (2,), (1,), offset=-1), _CORRUPT),
    "a tensor of a negative size": (tensor(storage("0", 4), (-2,), (1,)), _CORRUPT),
    "a tensor of a negative stride": (tensor(storage("0", 4), (2,), (-1,)), _CORRUPT),
    "a storage that is not there": (tensor(storage("7", 4), (2,), (1,)), _CORRUPT),
    "a storage in a folder above": (tensor(storage("../../../etc/passwd", 4), (2,), (1,)), _CORRUPT),
    "a storage of a negative length": (tensor(storage("0", -4), (0,), (1,)), _CORRUPT),
}


def _write(container: Callable[[Path, bytes], Path], body: bytes, folder: Path) -> Path:
    return container(folder / "model.pt", body)


def _write_flood(instruction: bytes, folder: Path) -> Path:
    return in_zip(folder / "model.pt", instruction * 1_000_000)


def cases() -> Iterator[Case]:
    """Every bomb in a zip, and those that do not need its records in a legacy file, too."""
    unsafe = (*_CORRUPT, "checkpoint-unsafe")
    for name, body in _ALLOCATING.items():
        for container_name, container in (("zip", in_zip), ("legacy file", in_legacy)):
            yield Case(f"{name}, in a {container_name}", partial(_write, container, _as_state(body)), unsafe)
    for name, instruction in _FLOODS.items():
        yield Case(f"a million {name}", partial(_write_flood, instruction), _CORRUPT)
    yield Case("a text of 40 MB", lambda folder: in_legacy(folder / "model.pt", text(b"a" * 40_000_000)), _CORRUPT)
    yield Case(
        "mappings of mappings of mappings",
        partial(_write, in_zip, _mappings_of_mappings(1000)),
        _UNSUPPORTED,
        needs_torch=True,
    )
    yield Case(
        "entries that share a long list",
        partial(_write, in_zip, _shared_entries(10_000)),
        _UNSUPPORTED,
        needs_torch=True,
    )
    late = b"](" + b"N" * 590_000 + b"eR"
    yield Case("a fault after 590,000 values", partial(_write, in_zip, late), _CORRUPT, needs_torch=True)
    late = b"](" + b"\x8f" * 195_000 + b"eR"
    yield Case("a fault after 195,000 sets", partial(_write, in_zip, late), _CORRUPT, needs_torch=True)
    yield Case("no tensors at all", partial(_write, in_zip, mapping()), ("no-tensors",), needs_torch=True)
    many = b"}(" + text("w") + tensor(storage("0", 1000), (1 << 18,), (0,)) + b"q\x05"
    many += b"".join(text(f"w{entry}") + b"h\x05" for entry in range(2000)) + b"u"
    yield Case(
        "two thousand names of one expanded tensor",
        lambda folder: in_zip(folder / "model.pt", many, {"data/0": bytes(4000)}),
        _UNSUPPORTED,
        needs_torch=True,
    )
    for name, (body, error_ids) in _WRONG_TENSORS.items():
        yield Case(name, partial(_write, in_zip, _as_state(body)), error_ids, needs_torch=True)
    unlisted = _as_state(tensor(storage("0", 4, is_legacy=True), (2, 2), (2, 1)))
    yield Case("a legacy file without its numbers", partial(_write, in_legacy, unlisted), _CORRUPT)

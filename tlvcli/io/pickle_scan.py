"""A pickle read as torch will read it, with sizes in place of objects: what it would call, and what that would cost.

Weights-only loading calls nothing harmful, but a kilobyte can still ask it for a terabyte: tuples of tuples that are
hashed as keys, encodings applied to encodings, a tensor of 2^40 elements over one number. None of that is refused by
torch, and most of it cannot be interrupted, so it is refused before torch is imported.
"""

from __future__ import annotations

import math
import mmap
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

MAX_PICKLE_BYTES = 32_000_000
# A tensor takes some 45 steps, so this is more than 13,000 of them; torch takes a microsecond for each.
MAX_STEPS = 600_000
# Elements of all tuples within a tuple, which hashing it visits, as do printing and comparing.
MAX_TUPLE = 100_000
# Keys that are neither text nor a small number; whoever makes them can make their hashes agree.
MAX_ODD_KEYS = 1_000
MAX_DIMENSIONS = 64
# A tensor may name an element several times, as expanded ones do, but not without end.
MAX_REPEATS = 64
_FREE_ELEMENTS = 1 << 20

_LONG_TEXT = 1_000
_MAX_NAME_BYTES = 1_000
_TOO_LARGE = "holds a pickle that is larger than any list of tensors"
_LEGACY_PICKLES = 5  # the last of them lists the storages that follow
_ODD = object()


class UnknownGlobalError(Exception):
    """Carries the name of a global, as `module.name` stands in the file."""


class PickleFaultError(Exception):
    """Says what is wrong with the pickle, to follow the name of the file."""


@dataclass(frozen=True)
class _Global:
    name: str


@dataclass(frozen=True)
class _Tuple:
    items: tuple[Any, ...]
    size: int


@dataclass(frozen=True)
class _Storage:
    num_elements: int


_EMPTY = _Tuple((), 1)
_Slot = Any  # bytes for text, int for a number, the three above, else _ODD


def refuse_costly(data: bytes | mmap.mmap, *, is_legacy: bool, is_allowed: Callable[[str], bool]) -> None:
    """Look through the pickles that begin `data`, calling nothing; where they stop making sense, torch stops too.

    Args:
        data: the pickle, or the whole of a legacy file.
        is_legacy: whether several pickles follow each other, and then the numbers.
        is_allowed: whether a global, as it stands in the file, may be asked for.

    Raises:
        UnknownGlobalError: for the first global that is not allowed.
        PickleFaultError: for what would take more time or memory than tensors are worth.
    """
    scan = _Scan(data, is_allowed)
    for _ in range(_LEGACY_PICKLES if is_legacy else 1):
        scan.texts.clear()
        if not scan.read_pickle():
            return
    if is_legacy and not scan.storages <= scan.texts:
        raise PickleFaultError("names tensors whose numbers it does not hold")


class _Scan:
    """The machine that a pickle is a program for, as far as weights-only loading knows its instructions."""

    def __init__(self, data: bytes | mmap.mmap, is_allowed: Callable[[str], bool]) -> None:
        self.data = data
        self.place = 0
        self.steps = 0
        self.odd_keys = 0
        self.is_allowed = is_allowed
        self.storages: set[_Slot] = set()
        self.texts: set[_Slot] = set()
        self.stack: list[_Slot] = []
        self.below: list[list[_Slot]] = []
        self.memo: dict[int, _Slot] = {}

    def read_pickle(self) -> bool:
        """Return whether the pickle came to its end."""
        self.stack, self.below, self.memo = [], [], {}
        try:
            while True:
                code = self.data[self.place]
                self.place += 1
                self.steps += _COST.get(code, 1)
                if self.steps > MAX_STEPS or self.place > MAX_PICKLE_BYTES:
                    raise PickleFaultError(_TOO_LARGE)
                if code == _STOP:
                    return True
                _INSTRUCTIONS[code](self)
        # An unknown instruction, an empty stack, the end of the file: torch comes no further either.
        except (LookupError, struct.error, UnicodeDecodeError):
            return False

    def take(self, num_bytes: int) -> bytes:
        begin, self.place = self.place, self.place + num_bytes
        if self.place > len(self.data):
            raise IndexError
        if self.place > MAX_PICKLE_BYTES:
            raise PickleFaultError(_TOO_LARGE)
        return self.data[begin : self.place]

    def number(self, form: struct.Struct) -> int:
        return int(form.unpack(self.take(form.size))[0])

    def line(self) -> str:
        end = self.data.find(b"\n", self.place, self.place + _MAX_NAME_BYTES)
        if end < 0 and len(self.data) - self.place < _MAX_NAME_BYTES:
            raise IndexError
        if end < 0:
            raise PickleFaultError("asks for a global with an endless name")
        begin, self.place = self.place, end + 1
        return self.data[begin:end].decode()

    def pop_mark(self) -> list[_Slot]:
        items, self.stack = self.stack, self.below.pop()
        return items

    def mark(self) -> None:
        self.below.append(self.stack)
        self.stack = []

    def find_global(self) -> None:
        name = f"{self.line()}.{self.line()}"
        if not self.is_allowed(name):
            raise UnknownGlobalError(name)
        self.stack.append(_Global(name))

    def text(self, num_bytes: int) -> None:
        raw = self.take(num_bytes)
        if 0xED in raw:  # the first byte of half a surrogate pair, which no name or report can hold
            try:
                raw.decode()
            except UnicodeDecodeError as error:
                raise PickleFaultError("holds text that is not UTF-8") from error
        self.texts.add(raw[:_LONG_TEXT])
        # A long text is as costly within a key as a tuple.
        self.stack.append(raw if num_bytes <= _LONG_TEXT else _Tuple((), num_bytes // _LONG_TEXT))

    def long(self) -> None:
        raw = self.take(self.take(1)[0])
        self.stack.append(int.from_bytes(raw, "little", signed=True) if len(raw) <= 8 else _ODD)

    def tuple(self, count: int | None) -> None:
        if count is None:
            items = self.pop_mark()
        else:
            items = self.stack[-count:]
            if len(items) < count:
                raise IndexError
            del self.stack[-count:]
        size = 1 + sum(item.size if isinstance(item, _Tuple) else 1 for item in items)
        if size > MAX_TUPLE:
            raise PickleFaultError("holds a tuple within a tuple, without end")
        self.stack.append(_Tuple(tuple(items), size))

    def set_items(self, items: list[_Slot]) -> None:
        self.odd_keys += sum(not isinstance(key, (bytes, int)) for key in items[::2])
        if self.odd_keys > MAX_ODD_KEYS:
            raise PickleFaultError("names its entries by something other than text")

    def set_item(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self.set_items([key, value])

    def find_storage(self) -> None:
        pid = self.stack.pop()
        # ("storage", type, key, location, number of elements), and of a legacy file a view.
        items = pid.items if isinstance(pid, _Tuple) else ()
        if len(items) > 4 and isinstance(items[4], int):
            self.storages.add(items[2])
            self.stack.append(_Storage(items[4]))
        else:
            self.stack.append(_ODD)

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        _refuse_call(function, arguments)
        self.stack.append(_ODD)

    def build(self) -> None:
        state = self.stack.pop()
        # The first versions rebuilt a tensor so: (storage, offset, size, stride).
        if isinstance(state, _Tuple) and any(isinstance(item, _Storage) for item in state.items):
            _refuse_view(state.items)


def _refuse_call(function: _Slot, arguments: _Slot) -> None:
    """Raise where a call that torch would make builds something out of nothing."""
    items = arguments.items if isinstance(arguments, _Tuple) else ()
    while isinstance(function, _Global) and function.name.endswith("._rebuild_from_type_v2") and len(items) > 2:
        function, _, arguments = items[:3]  # a call of another function
        items = arguments.items if isinstance(arguments, _Tuple) else ()
    if not isinstance(function, _Global):
        return
    module, _, name = function.name.rpartition(".")
    if name.startswith(("_rebuild_tensor", "_rebuild_qtensor")):
        _refuse_view(items)
    elif name == "encode" and items[1:] not in ((b"latin1",), (b"latin-1",)):
        raise PickleFaultError("encodes text as no file of torch.save does")
    elif (
        (name == "bytearray" and any(isinstance(item, int) for item in items))
        or name.endswith("Storage")
        or (module, name) == ("torch", "Tensor")
    ):
        raise PickleFaultError("asks for memory without filling it")


def _refuse_view(items: tuple[_Slot, ...]) -> None:
    """Raise unless a tensor (storage, offset, size, stride, ...) is about as large as its storage."""
    storage, size = items[0] if items else _ODD, items[2] if len(items) > 2 else _ODD
    sizes = size.items if isinstance(size, _Tuple) else (_ODD,)
    if not isinstance(storage, _Storage) or not all(isinstance(length, int) for length in sizes):
        raise PickleFaultError("builds a tensor as torch.save never does")
    if len(sizes) > MAX_DIMENSIONS:
        raise PickleFaultError(f"holds a tensor of {len(sizes)} dimensions")
    # Not the plain product: with a zero among them the others may still be too large for torch.
    num_elements = math.prod(max(length, 1) for length in sizes)
    if num_elements > max(_FREE_ELEMENTS, MAX_REPEATS * storage.num_elements):
        raise PickleFaultError(f"holds a tensor of {num_elements} elements over {storage.num_elements} numbers")


_BYTE, _SHORT, _INT, _UNSIGNED = (struct.Struct(form) for form in ("<B", "<H", "<i", "<I"))
_STOP = ord(".")

# What an instruction of one byte makes torch keep, in units of some eighty bytes.
_COST = {0x8F: 3, ord("("): 2}


def _push(scan: _Scan, value: _Slot) -> None:
    scan.stack.append(value)


def _put(scan: _Scan, place: int) -> None:
    scan.memo[place] = scan.stack[-1]


def _append(scan: _Scan) -> None:
    scan.stack.pop()
    _ = scan.stack[-1]


_INSTRUCTIONS: dict[int, Callable[[_Scan], object]] = {
    0x80: lambda scan: scan.take(1),
    ord("c"): _Scan.find_global,
    ord("X"): lambda scan: scan.text(scan.number(_UNSIGNED)),
    ord("U"): lambda scan: scan.text(scan.take(1)[0]),
    ord("J"): lambda scan: _push(scan, scan.number(_INT)),
    ord("K"): lambda scan: _push(scan, scan.take(1)[0]),
    ord("M"): lambda scan: _push(scan, scan.number(_SHORT)),
    0x8A: _Scan.long,
    ord("G"): lambda scan: _push(scan, 0 * len(scan.take(8))),
    ord("N"): lambda scan: _push(scan, 0),
    0x88: lambda scan: _push(scan, 1),
    0x89: lambda scan: _push(scan, 0),
    ord("("): _Scan.mark,
    ord("t"): lambda scan: scan.tuple(None),
    ord(")"): lambda scan: _push(scan, _EMPTY),
    0x85: lambda scan: scan.tuple(1),
    0x86: lambda scan: scan.tuple(2),
    0x87: lambda scan: scan.tuple(3),
    ord("]"): lambda scan: _push(scan, _ODD),
    ord("}"): lambda scan: _push(scan, _ODD),
    0x8F: lambda scan: _push(scan, _ODD),
    ord("a"): _append,
    ord("e"): lambda scan: (scan.pop_mark(), scan.stack[-1]),
    ord("s"): _Scan.set_item,
    ord("u"): lambda scan: scan.set_items(scan.pop_mark()),
    ord("q"): lambda scan: _put(scan, scan.take(1)[0]),
    ord("r"): lambda scan: _put(scan, scan.number(_UNSIGNED)),
    ord("h"): lambda scan: _push(scan, scan.memo[scan.take(1)[0]]),
    ord("j"): lambda scan: _push(scan, scan.memo[scan.number(_UNSIGNED)]),
    ord("Q"): _Scan.find_storage,
    ord("R"): _Scan.call,
    0x81: _Scan.call,
    ord("b"): _Scan.build,
}

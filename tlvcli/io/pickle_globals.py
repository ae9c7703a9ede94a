"""The globals that a pickle asks for, read from its opcodes without running any of them."""

from __future__ import annotations

import io
import pickletools
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import IO, Any

# A legacy PyTorch file is this many pickles, then raw numbers in which anything might look like an opcode.
_MAX_PICKLES = 5
# Enough to name what is asked for; a hostile pickle may go on for hours.
_MAX_OPCODES = 50_000

_TEXTS = frozenset({"SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "UNICODE"})
_STORES = frozenset({"PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"})
_FETCHES = frozenset({"GET", "BINGET", "LONG_BINGET"})


def globals_in(raw: bytes) -> tuple[str, ...]:
    """Return every `module.name` in the pickles that `raw` begins with, as it stands there."""
    found: dict[str, None] = {}
    stream = io.BytesIO(raw)
    # pickletools raises whatever a damaged pickle makes it raise; what came before still counts.
    with suppress(Exception):
        for _ in range(_MAX_PICKLES):
            for name in _walk(stream):
                found[name] = None
    return tuple(found)


def _walk(stream: IO[bytes]) -> Iterator[str]:
    texts: list[str] = []  # STACK_GLOBAL takes its two words from the stack
    memo: dict[int, str] = {}
    top = ""
    num_stored = 0
    opcodes: Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]] = pickletools.genops(stream)
    for opcode, argument, _ in islice(opcodes, _MAX_OPCODES):
        name = opcode.name
        if name in _STORES:
            memo[num_stored if name == "MEMOIZE" else argument] = top
            num_stored += 1
            continue
        top = ""
        if name in ("GLOBAL", "INST"):
            yield str(argument).replace(" ", ".", 1)
        elif name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif name in _TEXTS:
            top = str(argument)
            texts.append(top)
        elif name in _FETCHES:
            texts.append(memo.get(argument, ""))

"""JSON from a foreign file, where two values under one name are a fault and not a choice."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

# Each may take some 220 bytes in memory; the header of a network with 50,000 tensors has as many.
MAX_VALUES = 500_000


class JsonFaultError(Exception):
    """Says what is wrong with the text, to follow the name of the place: `that is not JSON`."""


def parse_object(text: bytes) -> dict[str, Any]:
    """Return the JSON object in UTF-8 `text`, or raise `JsonFaultError`, however deep, large or odd the text is."""
    # Before it is parsed, when it would be too late: every value follows one of these.
    if sum(map(text.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise JsonFaultError(f"of more than {MAX_VALUES} values")
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise JsonFaultError("that is not JSON") from error
    if not isinstance(content, dict):
        raise JsonFaultError("that is no JSON object")
    if b"\\u" in text:
        _refuse_half_characters(content)
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = next(name for name, number in Counter(name for name, _ in pairs).items() if number > 1)
        raise JsonFaultError(f"that names {twice} twice")
    return mapping


def _refuse_half_characters(content: dict[str, Any]) -> None:
    # JSON can write half of a surrogate pair, which no file, no report and no terminal can.
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise JsonFaultError("with half a character in it") from error

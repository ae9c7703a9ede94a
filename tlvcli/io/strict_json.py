"""JSON from a foreign file, where two values under one name are a fault and not a choice."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any


class JsonFaultError(Exception):
    """Says what is wrong with the text, to follow the name of the place: `that is not JSON`."""


def parse_object(text: bytes) -> dict[str, Any]:
    """Return the JSON object in UTF-8 `text`, or raise `JsonFaultError`, however deep or odd the text is."""
    try:
        content = json.loads(text.decode("utf-8"), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise JsonFaultError("that is not JSON") from error
    if not isinstance(content, dict):
        raise JsonFaultError("that is no JSON object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    mapping = dict(pairs)
    if len(mapping) < len(pairs):
        twice = next(name for name, number in Counter(name for name, _ in pairs).items() if number > 1)
        raise JsonFaultError(f"that names {twice} twice")
    return mapping

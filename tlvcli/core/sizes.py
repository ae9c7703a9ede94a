"""Numbers of bytes as people write them."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

_UNITS = {"": 1, "b": 1} | {
    unit: base**power
    for power, letter in enumerate("kmgt", start=1)
    for unit, base in ((f"{letter}b", 1000), (f"{letter}ib", 1024))
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]*)", re.ASCII | re.IGNORECASE)


def parse_size(value: Any) -> int:
    """Return the bytes that `2GB`, `500 MB`, `1.5GiB` or a plain number means, or raise ValueError.

    kB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB of 1024; case does not matter.
    """
    found = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    factor = _UNITS.get(found[2].lower()) if found else None
    size = int(Decimal(found[1]) * factor) if found and factor else 0
    if not 1 <= size < 2**63:
        raise ValueError("write a size such as 2GB, 500MB, 5GiB or a number of bytes")
    return size

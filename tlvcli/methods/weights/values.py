"""The bytes of a tensor as numbers that numpy knows, also for the dtypes that it does not."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Exponent bits, mantissa bits and bias. IEEE has infinities; `fn` spends them on numbers and keeps one NaN a sign;
# `fnuz` has one zero, and its NaN where -0 would be.
_FLOATS_OF_8_BITS = {
    "float8_e4m3fn": (4, 3, 7),
    "float8_e4m3fnuz": (4, 3, 8),
    "float8_e5m2": (5, 2, 15),
    "float8_e5m2fnuz": (5, 2, 16),
}
_STORED_AS = {"bfloat16": "uint16", "bool": "uint8"}


def stored(raw: memoryview, dtype: str) -> NDArray[Any]:
    """Return the elements as they are stored, flat: floats of 8 bits as uint8, bfloat16 as uint16; a view."""
    return np.frombuffer(raw, dtype=_kind(dtype))


def item_bytes(dtype: str) -> int:
    """Return the size of one element."""
    return _kind(dtype).itemsize


def _kind(dtype: str) -> np.dtype[Any]:
    name = "uint8" if dtype.startswith("float8") else _STORED_AS.get(dtype, dtype)
    kind: np.dtype[Any] = np.dtype(name).newbyteorder("<")
    return kind


def decode(elements: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Return stored elements, of any shape, as numbers: bfloat16 as float32, floats of 8 bits as float64."""
    if dtype == "bfloat16":
        bits = elements.astype(np.uint32)
        bits <<= 16  # in place: a second copy would cost more than the shift
        return bits.view(np.float32)
    if dtype == "bool":
        return elements.astype(np.bool_)
    if dtype.startswith("float8"):
        return table_of_bytes(dtype).take(elements)
    return elements


@cache
def table_of_bytes(dtype: str) -> NDArray[np.float64]:
    """Return the number that each of the 256 bytes stands for, in a dtype of 8 bits."""
    codes = np.arange(256, dtype=np.uint8)
    if dtype == "float8_e8m0fnu":  # a power of two, without sign, zero or infinity
        table = np.exp2(codes.astype(np.float64) - 127)
        table[255] = np.nan
    elif dtype in _FLOATS_OF_8_BITS:
        table = _small_floats(dtype)
    else:
        table = decode(codes.view(np.int8) if dtype == "int8" else codes, dtype).astype(np.float64)
    table.flags.writeable = False
    return table


def _small_floats(dtype: str) -> NDArray[np.float64]:
    num_exponent_bits, num_mantissa_bits, bias = _FLOATS_OF_8_BITS[dtype]
    codes = np.arange(256)
    exponent = (codes & 127) >> num_mantissa_bits
    fraction = (codes & ((1 << num_mantissa_bits) - 1)) / (1 << num_mantissa_bits)
    magnitude = np.where(
        exponent == 0, fraction * np.exp2(1.0 - bias), (1 + fraction) * np.exp2(exponent.astype(np.float64) - bias)
    )
    if dtype.endswith("fnuz"):
        table = np.where(codes < 128, magnitude, -magnitude)
        table[128] = np.nan
        return table
    if dtype.endswith("fn"):
        magnitude[(codes & 127) == 127] = np.nan
    else:
        is_last = exponent == (1 << num_exponent_bits) - 1
        magnitude[is_last] = np.where(fraction[is_last] == 0, np.inf, np.nan)
    return np.where(codes < 128, magnitude, -magnitude)

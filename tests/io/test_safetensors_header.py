import json
import struct
from pathlib import Path
from typing import Any

import pytest

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.io.safetensors_header import MAX_HEADER_BYTES, read_header


def entry(dtype: Any = "F32", shape: Any = (2,), begin: Any = 0, end: Any = 8) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def write(path: Path, header: dict[str, Any] | bytes, data: bytes, length: int | None = None) -> Path:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)
    return path


def test_reads_specs_by_place_with_metadata(tmp_path: Path) -> None:
    header = {
        "b": entry("F16", [3], 8, 14),
        "__metadata__": {"format": "pt"},
        "a": entry("I64", [], 0, 8),
        "none": entry("F8_E4M3", [0, 5], 14, 14),
    }
    path = write(tmp_path / "a.safetensors", header, bytes(14))
    read = read_header(path)
    assert read.specs == (
        TensorSpec("a", (), "int64"),
        TensorSpec("b", (3,), "float16"),
        TensorSpec("none", (0, 5), "float8_e4m3fn"),
    )
    start = path.stat().st_size - 14
    assert read.offsets == {"a": start, "b": start + 8, "none": start + 14}
    assert read.metadata == {"format": "pt"}


@pytest.mark.parametrize(
    ("header", "num_bytes", "error_id", "says"),
    [
        ({"a": entry()}, 4, "checkpoint-truncated", "8 bytes of tensors"),
        ({"a": entry()}, 9, "checkpoint-corrupt", "1 B too long"),
        ({"a": entry(), "b": entry()}, 8, "checkpoint-corrupt", "a and b over the same bytes"),
        ({"a": entry(), "b": entry(begin=4, end=12)}, 12, "checkpoint-corrupt", "over the same bytes"),
        ({"a": entry(begin=8, end=16)}, 16, "checkpoint-corrupt", "hole of 8 bytes before a"),
        ({"a": entry(end=4)}, 4, "checkpoint-corrupt", "4 bytes where float32 [2] needs 8"),
        ({"a": entry(begin=8, end=0)}, 8, "checkpoint-corrupt", "-8 bytes"),
        ({"a": entry(begin=-8, end=0)}, 8, "checkpoint-corrupt", "places a"),
        ({"a": entry(shape=[-2])}, 8, "checkpoint-corrupt", "shape [-2]"),
        ({"a": entry(shape=[True, 2])}, 8, "checkpoint-corrupt", "shape"),
        ({"a": entry(shape=[2.0])}, 8, "checkpoint-corrupt", "shape"),
        ({"a": entry(shape=[2**70, 0], end=0)}, 0, "checkpoint-corrupt", "shape"),
        ({"a": entry(shape="2")}, 8, "checkpoint-corrupt", "shape"),
        ({"a": entry(dtype="F33")}, 8, "checkpoint-unsupported", "a as F33"),
        ({"a": entry(dtype=["F32"])}, 8, "checkpoint-unsupported", "F32"),
        ({"a": {"dtype": "F32", "shape": [2]}}, 8, "checkpoint-corrupt", "describes a"),
        ({"a": [1, 2]}, 8, "checkpoint-corrupt", "describes a"),
        ({"__metadata__": {"epoch": 3}, "a": entry()}, 8, "checkpoint-corrupt", "metadata"),
        ({"__metadata__": "x", "a": entry()}, 8, "checkpoint-corrupt", "metadata"),
        (b'{"a": 1, "a": 2}', 0, "checkpoint-corrupt", "a twice"),
        (b'{"a": ', 0, "checkpoint-corrupt", "not JSON"),
        (b'{"\xff": 1}', 0, "checkpoint-corrupt", "not JSON"),
        (b'{"a":' + b"[" * 200_000, 0, "checkpoint-corrupt", "not JSON"),
    ],
)
def test_a_header_that_lies(
    tmp_path: Path, header: dict[str, Any] | bytes, num_bytes: int, error_id: str, says: str
) -> None:
    path = write(tmp_path / "model.safetensors", header, bytes(num_bytes))
    with pytest.raises(TlvError) as caught:
        read_header(path)
    assert caught.value.error_id == error_id
    assert "model.safetensors" in caught.value.message
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("length", "error_id"),
    [
        (1000, "checkpoint-truncated"),
        (MAX_HEADER_BYTES + 1, "checkpoint-corrupt"),
        (2**64 - 1, "checkpoint-corrupt"),
        (3, "checkpoint-corrupt"),
    ],
)
def test_a_header_length_that_lies(tmp_path: Path, length: int, error_id: str) -> None:
    path = write(tmp_path / "model.safetensors", {"a": entry()}, bytes(8), length)
    with pytest.raises(TlvError) as caught:
        read_header(path)
    assert caught.value.error_id == error_id

"""`tlv inspect` of a 2 GB file: the header beside `tlv --version`, the statistics beside reading the file once."""

from __future__ import annotations

import json
import struct
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.measure import medians, processes, show

_NUM_LAYERS = 30
_SIDE = 4096
# Bit patterns of the dtypes take 4, 2, 2 and 1 bytes; the file of the smallest holds as many layers.
_DTYPES = (("F32", 4), ("BF16", 2), ("F16", 2), ("F8_E4M3", 1))


def run() -> list[dict[str, Any]]:
    """Measure, print and return the rows."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = {code: _make_file(folder / f"{code}.safetensors", code, size) for code, size in _DTYPES}
        whole = _whole_commands(files["F32"])
        rows = [_statistics(code, path) for code, path in files.items()]
    show("inspect of a 2 GB file, whole processes", whole)
    show("statistics of a file in memory, ratios to reading it into a buffer of 1 MiB", rows)
    return [*whole, *rows]


def _make_file(path: Path, code: str, item_bytes: int) -> Path:
    """Write normal weights, the same block again and again, without holding more than one layer."""
    import numpy as np

    weights = np.random.default_rng(0).standard_normal((_SIDE, _SIDE), dtype=np.float32) * np.float32(0.02)
    # The upper half of a float32 is a bfloat16; of a byte, any pattern but NaN will do.
    encoded = {
        "F32": lambda: weights,
        "BF16": lambda: (weights.view(np.uint32) >> 16).astype(np.uint16),
        "F16": lambda: weights.astype(np.float16),
        "F8_E4M3": lambda: (np.abs(weights) * 1000).astype(np.uint8) & 0x77,
    }[code]()
    num_bytes = _SIDE * _SIDE * item_bytes
    entries = {
        f"layer{number}.weight": {
            "dtype": code,
            "shape": [_SIDE, _SIDE],
            "data_offsets": [number * num_bytes, (number + 1) * num_bytes],
        }
        for number in range(_NUM_LAYERS)
    }
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        for _ in range(_NUM_LAYERS):
            stream.write(memoryview(encoded).cast("B"))
    return path


def _whole_commands(path: Path) -> list[dict[str, Any]]:
    imports = (
        "from pathlib import Path; from tlvcli.io.checkpoint import open_checkpoint\n"
        "from tlvcli.pipelines.inspection.statistics import describe_statistics\n"
    )
    from tlvcli.pipelines.inspect import InspectConfig

    commands = {
        "tlv --version": ["-m", "tlvcli", "--version"],
        "tlv inspect": ["-m", "tlvcli", "inspect", str(path)],
        "statistics: imports": ["-c", imports + "import tlvcli.methods.weights.statistics"],
        "statistics: whole": ["-c", imports + f"describe_statistics(open_checkpoint(Path({str(path)!r})))"],
    }
    # The command line takes its flag from this setting; without it, the section alone is measured.
    if "stats" in InspectConfig.model_fields:
        commands["tlv inspect --stats"] = ["-m", "tlvcli", "inspect", str(path), "--stats"]
    measured = processes(commands, rounds=5)
    floor = measured["tlv --version"].seconds
    return [
        {"command": name, "seconds": one.seconds, "ratio": one.seconds / floor, "peak MB": one.peak_mb}
        for name, one in measured.items()
    ]


def _statistics(code: str, path: Path) -> dict[str, Any]:
    from tlvcli.io.checkpoint import open_checkpoint
    from tlvcli.pipelines.inspection.statistics import describe_statistics

    checkpoint = open_checkpoint(path)
    buffer = memoryview(bytearray(1 << 20))

    def read_through() -> None:
        with path.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass

    seconds = medians(
        {
            "read": read_through,
            "read at once": path.read_bytes,
            "statistics": lambda: describe_statistics(checkpoint),
        }
    )
    return {
        "dtype": code,
        "GB": path.stat().st_size / 1e9,
        "read": seconds["read"],
        "read at once": seconds["read at once"],
        "statistics": seconds["statistics"],
        "ratio": seconds["statistics"] / seconds["read"],
        "ratio to read at once": seconds["statistics"] / seconds["read at once"],
    }

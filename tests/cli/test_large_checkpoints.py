"""A checkpoint of 2 GB in eight files, sparse on disk: what a look at it costs, without and with its values."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

SHARDS, TENSORS, SIDE = 8, 4, 4096
TENSOR_BYTES = SIDE * SIDE * 4

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from /proc")

PROGRAM = """
import sys
from tlvcli.cli.main import run
code = run(sys.argv[1:])
loaded = [name for name in ("torch", "torchvision") if name in sys.modules]
# Not what getrusage says: that counts the parent's memory at the fork, too.
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(code, peak, loaded, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("large")
    places = {}
    for shard in range(SHARDS):
        name = f"model-{shard + 1:05}-of-{SHARDS:05}.safetensors"
        entries = {}
        for tensor in range(TENSORS):
            offsets = [tensor * TENSOR_BYTES, (tensor + 1) * TENSOR_BYTES]
            entry = {"dtype": "F32", "shape": [SIDE, SIDE], "data_offsets": offsets}
            entries[f"blocks.{shard}.layer{tensor}.weight"] = entry
        places.update(dict.fromkeys(entries, name))
        header = json.dumps(entries).encode()
        with (folder / name).open("wb") as stream:
            stream.write(struct.pack("<Q", len(header)) + header)
            stream.truncate(8 + len(header) + TENSORS * TENSOR_BYTES)
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return path


def peak_megabytes(*arguments: str) -> float:
    done = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    code, kilobytes, loaded = done.stderr.splitlines()[-1].split(maxsplit=2)
    assert (code, loaded) == ("0", "[]"), done.stderr
    return int(kilobytes) / 1000


def test_the_headers_cost_no_memory_and_no_torch(index: Path) -> None:
    assert peak_megabytes("inspect", str(index)) < 80


def test_values_cost_the_largest_tensor(index: Path) -> None:
    base = peak_megabytes("inspect", str(index), "--layers", "blocks.0.layer0", "--json")
    assert peak_megabytes("inspect", str(index), "--stats", "--json") < base + TENSOR_BYTES / 1e6 + 30  # numpy's own

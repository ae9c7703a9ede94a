"""The valid files that damage begins with, opened up where a checksum or a length would hide it from the reader."""

from __future__ import annotations

import argparse
import io
import json
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from tlvcli.core.provenance import Ancestor, Architecture, MadeBy, Preprocessing, Provenance

SHARD_NAME = "model-00001-of-00001.safetensors"


def _as_it_is(data: bytes) -> bytes:
    return data


@dataclass(frozen=True)
class Seed:
    """The part of a file that is damaged, and how the file is put together around it."""

    name: str
    data: bytes
    wrap: Callable[[bytes], bytes] = _as_it_is
    is_pickle: bool = False


def _header(metadata: dict[str, str]) -> tuple[bytes, int]:
    tensors = {"conv.weight": ("F32", [2, 3]), "conv.bias": ("F16", [2]), "steps": ("I64", [])}
    entries: dict[str, Any] = {"__metadata__": metadata}
    end = 0
    for name, (dtype, shape) in tensors.items():
        begin, end = end, end + {"conv.weight": 24, "conv.bias": 4, "steps": 8}[name]
        entries[name] = {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}
    return json.dumps(entries).encode(), end


def with_length(header: bytes, num_bytes: int) -> bytes:
    """Return a safetensors file with this header, whose length is right, and so many bytes of numbers."""
    return struct.pack("<Q", len(header)) + header + bytes(range(1, num_bytes + 1))


def provenance() -> Provenance:
    made_by = MadeBy(
        command="transfer", method="tlv", tlv_version="0", made_from=(Ancestor(name="a.pt", sha256="0" * 64),)
    )
    return Provenance(
        architecture=Architecture(name="resnet18", num_classes=10),
        made_by=made_by,
        class_names=("cat", "dog"),
        preprocessing=Preprocessing(image_size=32, resize_size=32, mean=(0.5,) * 3, std=(0.5,) * 3),
        tensor_order=("conv.weight", "conv.bias", "steps"),
        recommended_rates={"conv": 0.1},
    )


def _saved(content: object, *, legacy: bool) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, _use_new_zipfile_serialization=not legacy)
    return stream.getvalue()


def _training_state() -> dict[str, Any]:
    weight = torch.arange(6.0).reshape(2, 3)
    return {
        "state_dict": {"module.conv.weight": weight, "module.conv.bias": weight[0, :2], "module.tied": weight},
        "ema": {"conv.weight": torch.ones(2, 3)},
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}, "param_groups": [{"lr": 0.1, "betas": (0.9, 0.99)}]},
        "args": argparse.Namespace(lr=0.1, sizes=[1, 2]),
        "epoch": 3,
        "best": torch.tensor(0.5),
        "names": ["cat", "dog", None, True, b"raw", {1, 2}],
    }


def _in_archive(pickled: bytes) -> bytes:
    """Return the training state as a zip with this pickle in place of its own."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(_saved(_training_state(), legacy=False))) as old,
        zipfile.ZipFile(stream, "w") as new,
    ):
        for name in old.namelist():
            new.writestr(name, pickled if name.endswith("/data.pkl") else old.read(name))
    return stream.getvalue()


def _pickle_of_archive() -> bytes:
    with zipfile.ZipFile(io.BytesIO(_saved(_training_state(), legacy=False))) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/data.pkl")))


def checkpoints() -> tuple[Seed, ...]:
    header, num_bytes = _header({"format": "pt", "tlv": provenance().model_dump_json()})
    return (
        Seed("safetensors", with_length(header, num_bytes)),
        Seed("safetensors header", header, lambda damaged: with_length(damaged, num_bytes)),
        Seed("provenance", provenance().model_dump_json().encode(), _with_provenance),
        Seed("zip", _saved(_training_state(), legacy=False)),
        Seed("zip's pickle", _pickle_of_archive(), _in_archive, is_pickle=True),
        Seed("legacy", _saved(_training_state(), legacy=True), is_pickle=True),
        Seed("index", index()),
    )


def _with_provenance(damaged: bytes) -> bytes:
    header, num_bytes = _header({"format": "pt", "tlv": damaged.decode(errors="replace")})
    return with_length(header, num_bytes)


def index() -> bytes:
    """Return the index of one shard, which holds what `shard` returns."""
    places = dict.fromkeys(("conv.weight", "conv.bias", "steps"), SHARD_NAME)
    return json.dumps({"metadata": {"total_size": 36}, "weight_map": places}).encode()


def shard() -> bytes:
    return with_length(*_header({"format": "pt"}))


def _with_mask(header: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + b"\1\0\0\1"


def masks() -> tuple[Seed, ...]:
    entry = {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}
    header = json.dumps({"__metadata__": {"tlv_kind": "mask"}, "conv.weight": entry}).encode()
    return (
        Seed("mask", _with_mask(header)),
        Seed("mask header", header, _with_mask),
    )


_PLAN = b"""schema: tlv.plan/1
tlv_version: '0.1'
method: tlv
seed: 3
source: {name: a.pt, sha256: '00', made_by: null}
target: {name: resnet18, num_classes: 10, in_chans: 3, head: null}
dtype: null
recommended_rates: {conv1: 0.1}
arrays: null
digest: '00'
rows:
- {tensor: conv1.weight, shape: [64, 3, 7, 7], source: stem.weight, operation: resize, parameters: {scale: 1.5},
  transferred: 0.5, reason: same place}
- {tensor: fc.bias, shape: [10], source: null, operation: keep, parameters: {}, transferred: 0.0, reason: no match}
"""
_CONFIG = b"""# settings of a run
checkpoint: resnet18@random
data: "digits"
out: run
epochs: 30
lr: 1.0e-3
schedule: multistep
milestones: [0.5, 0.75]
label-smoothing: 0.1
l2sp: null
seed: 7
"""


def plans() -> tuple[Seed, ...]:
    with_arrays = _PLAN.replace(b"arrays: null", b"arrays: plan.safetensors")
    return (Seed("plan", _PLAN), Seed("plan with arrays", with_arrays))


def configs() -> tuple[Seed, ...]:
    return (
        Seed("config", _CONFIG),
        Seed("config as JSON", b'{"checkpoint": "a.pt", "layers": "conv*", "stats": true}'),
    )


def reports(sha256: str) -> tuple[Seed, ...]:
    output = {"role": "checkpoint", "path": "model.safetensors", "sha256": sha256}
    content = {"schema": "tlv.transfer/1", "tlv_version": "0", "outputs": [output], "warnings": []}
    return (Seed("report", json.dumps(content, indent=1).encode()),)

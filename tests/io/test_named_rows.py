"""Rows with names, of which fewer may come than there is room for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file

from tlvcli.core.errors import TlvError
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.hashing import hash_file
from tlvcli.io.named_rows import write_named_rows

NAMES = ["a.jpg", "b\nc.jpg", "\u5c64.jpg", os.fsdecode(b"\xff.jpg"), *(f"{number}.jpg" for number in range(20))]
METADATA = {"made": json.dumps({"by": "us"})}


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(len(NAMES), 3, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kept", [[0], [1, 3], range(24)])
def test_what_has_come_is_read_by_others(tmp_path: Path, rows: torch.Tensor, kept: list[int]) -> None:
    path = tmp_path / "rows.safetensors"
    parts = [(rows[[number]], [NAMES[number]]) for number in kept]
    output = write_named_rows(path, parts, role="features", candidates=NAMES, metadata=METADATA, force=False)
    assert (output.role, output.sha256) == ("features", hash_file(path))
    tensors = load_file(path)
    assert torch.equal(tensors["features"], rows[list(kept)])
    names = tensors["paths"].numpy().tobytes().split(b"\0")
    assert names == [*(os.fsencode(NAMES[number]) for number in kept), b""]
    with safe_open(path, "pt") as opened:
        assert opened.metadata() == METADATA
    assert [spec.shape for spec in open_checkpoint(path).specs] == [(len(kept), 3), (len(tensors["paths"]),)]


def test_what_fails_half_way_leaves_the_old_file(tmp_path: Path, rows: torch.Tensor) -> None:
    path = tmp_path / "rows.safetensors"
    path.write_bytes(b"old")

    def break_off() -> Iterator[tuple[torch.Tensor, list[str]]]:
        yield rows[:2], NAMES[:2]
        raise TlvError("broken", "half way", "mend it")

    with pytest.raises(TlvError, match="half way"):
        write_named_rows(path, break_off(), role="features", candidates=NAMES, metadata={}, force=True)
    assert [file.read_bytes() for file in tmp_path.iterdir()] == [b"old"]

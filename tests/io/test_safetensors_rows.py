"""A tensor written a few rows at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tlvcli.core.graph import TensorSpec
from tlvcli.io.safetensors_rows import open_rows, write_rows

SPEC = TensorSpec("features", (7, 3, 2), "bfloat16")


@pytest.fixture
def rows() -> torch.Tensor:
    return torch.randn(7, 3, 2, generator=torch.Generator().manual_seed(0)).to(torch.bfloat16)


def test_rows_come_back_and_other_tools_read_them(tmp_path: Path, rows: torch.Tensor) -> None:
    path = tmp_path / "rows.safetensors"
    write_rows(path, SPEC, rows.split([2, 2, 3]))  # type: ignore[no-untyped-call]
    opened = open_rows(path, SPEC)
    assert opened is not None
    assert torch.equal(opened, rows)
    assert torch.equal(load_file(path)["features"], rows)


@pytest.mark.parametrize("place", [0, 20, 200, -40, -1])
def test_a_damaged_file_is_none(tmp_path: Path, rows: torch.Tensor, place: int) -> None:
    path = tmp_path / "rows.safetensors"
    write_rows(path, SPEC, [rows])
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert open_rows(path, SPEC) is None


@pytest.mark.parametrize("length", [0, 5, 60, -1])
def test_a_cut_file_is_none(tmp_path: Path, rows: torch.Tensor, length: int) -> None:
    path = tmp_path / "rows.safetensors"
    write_rows(path, SPEC, [rows])
    path.write_bytes(path.read_bytes()[:length])
    assert open_rows(path, SPEC) is None


def test_other_rows_are_none(tmp_path: Path, rows: torch.Tensor) -> None:
    path = tmp_path / "rows.safetensors"
    assert open_rows(path, SPEC) is None
    write_rows(path, SPEC, [rows])
    assert open_rows(path, TensorSpec("features", (6, 3, 2), "bfloat16")) is None


def test_what_fails_half_way_leaves_nothing(tmp_path: Path, rows: torch.Tensor) -> None:
    def break_off() -> Iterator[torch.Tensor]:
        yield rows[:2]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_rows(tmp_path / "rows.safetensors", SPEC, break_off())
    assert not list(tmp_path.iterdir())

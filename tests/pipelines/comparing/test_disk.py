"""How much a comparison takes of the disk, and that it is refused at once where there is less."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torchvision

from tlvcli.core.errors import TlvError
from tlvcli.pipelines import compare
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.disk import estimate_disk, guess_network_bytes, refuse_full_disk
from tlvcli.pipelines.comparing.folder import CompareFolder
from tlvcli.pipelines.comparing.grid import make_grid

REPORTS = 500_000


def _config(tmp_path: Path, **given: Any) -> CompareConfig:
    usual = {"source": "resnet50@random", "data": "digits", "out": str(tmp_path / "cmp"), "strategies": "full,two-rate"}
    return CompareConfig(**{**usual, **given})


@pytest.fixture
def free(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A disk whose free space a test sets."""
    disk = SimpleNamespace(free=0)
    monkeypatch.setattr(shutil, "disk_usage", lambda place: disk)
    return disk


def test_the_disk_holds_what_waits_for_its_choice(tmp_path: Path) -> None:
    grid = make_grid(_config(tmp_path, grid=["lr=0.1,0.01"]))  # 12 cells, of which six are chosen among
    network = 45_000_000
    assert estimate_disk(grid, network, jobs=2, keep="best") == network * (6 + 2 + 1 + 6 * 2) + 12 * REPORTS
    assert estimate_disk(grid, network, jobs=2, keep="all") == network * (6 * 12 + 6 * 2) + 12 * REPORTS


def test_what_is_trained_already_needs_no_room(tmp_path: Path, free: SimpleNamespace) -> None:
    config = _config(tmp_path)
    grid, folder, network = make_grid(config), CompareFolder(tmp_path / "cmp"), 10_000_000
    first, *others = grid.cells
    needs = {num: network * (min(num, 3 + 1) + 1 + 6) + num * REPORTS for num in (5, 6)}
    free.free = needs[6]
    refuse_full_disk(config, grid, folder, network, jobs=1)
    free.free = needs[5]
    with pytest.raises(TlvError) as caught:
        refuse_full_disk(config, grid, folder, network, jobs=1)
    assert caught.value.error_id == "no-space"
    assert caught.value.message == f"the grid may take 113 MB, and {tmp_path} has 112 MB left"
    report = folder.cell(first).train_report_path
    report.parent.mkdir(parents=True)
    report.touch()
    refuse_full_disk(config, grid, folder, network, jobs=1)
    with pytest.raises(TlvError):  # all cells are run anew
        refuse_full_disk(_config(tmp_path, force=True), grid, folder, network, jobs=1)
    for cell in others:
        folder.cell(cell).train_report_path.parent.mkdir(parents=True)
        folder.cell(cell).train_report_path.touch()
    free.free = 0
    refuse_full_disk(config, grid, folder, network, jobs=1)


def test_a_named_network_is_as_large_as_the_one_that_is_built(tmp_path: Path) -> None:
    for given in ({"target_arch": "resnet18"}, {"source": "resnet18@random"}, {"source_arch": "resnet18"}):
        guessed = guess_network_bytes(_config(tmp_path, **{"source": "a.pth", **given}))
        module = torchvision.models.resnet18(num_classes=1)
        whole = 4 * sum(tensor.numel() for tensor in module.state_dict().values())
        assert guessed == whole
    assert guess_network_bytes(_config(tmp_path, source="a.pth", target_arch="net.py:make")) == 0


def test_a_full_disk_is_refused_before_anything_is_imported_or_read(
    tmp_path: Path, free: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slow in ("warm_up", "look_at_data", "look_at_sources"):
        monkeypatch.setattr(compare, slow, lambda *given: pytest.fail("that takes seconds"))
    monkeypatch.setitem(sys.modules, "torch", None)  # whoever imports it now fails
    free.free = 10**9
    with pytest.raises(TlvError) as caught:
        compare.run(_config(tmp_path, target_arch="vgg16"))
    assert caught.value.error_id == "no-space"
    assert not (tmp_path / "cmp").exists()

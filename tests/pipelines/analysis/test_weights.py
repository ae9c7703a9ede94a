"""Kernels of a file without its architecture: the report, the table, what is refused."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.weights import run_weights
from tlvcli.pipelines.analysis.weights_result import WeightsSection
from tlvcli.pipelines.progress import Silence


def _describe(path: Path, **settings: Any) -> Outcome[WeightsSection]:
    return run_weights(AnalyzeStatsConfig(checkpoint=str(path), weights=True, **settings), Silence())


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    conv = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    conv[2], conv[4] = conv[1], 0
    tensors = {"a.weight": conv, "a.bias": torch.ones(6), "norm.weight": torch.ones(6), "b.weight": torch.eye(3)}
    save_file(tensors, tmp_path / "net.safetensors")
    return tmp_path / "net.safetensors"


def test_every_kernel_is_in_the_report(foreign: Path) -> None:
    section = _describe(foreign).section
    conv, linear = section.layers
    weight = torch.randn(6, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    weight[2], weight[4] = weight[1], 0
    rows = weight.flatten(1).double()
    assert (conv.name, conv.kind, conv.shape, conv.largest_rank) == ("a", "conv2d", (6, 3, 2, 2), 6)
    assert conv.variance == pytest.approx(rows.var(dim=1, correction=0).tolist())
    assert conv.l1 == pytest.approx(rows.abs().sum(dim=1).tolist())
    assert conv.l2 == pytest.approx(rows.norm(dim=1).tolist())
    assert (conv.dead, conv.copies) == ([4], {2: 1})
    assert (linear.spectral_norm, linear.stable_rank) == (pytest.approx(1), pytest.approx(3))
    assert linear.effective_rank == pytest.approx(3)
    assert (section.kernels, section.dead, section.copies, section.without_kernels) == (9, 1, 1, ["norm"])


def test_table_has_a_row_for_each_kernel(foreign: Path, tmp_path: Path) -> None:
    table = tmp_path / "kernels.csv"
    section = _describe(foreign, csv=str(table), layers=["a"]).section
    with table.open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["kernel"] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert [float(row["variance"]) for row in rows] == section.layers[0].variance
    assert [row["dead"] for row in rows] == ["0", "0", "0", "0", "1", "0"]
    assert [row["copy_of"] for row in rows] == ["", "", "1", "", "", ""]


def test_values_that_are_not_finite_are_null_and_named(tmp_path: Path) -> None:
    weight = torch.eye(3)
    weight[1, 1] = float("inf")
    save_file({"fc.weight": weight}, tmp_path / "net.safetensors")
    outcome = _describe(tmp_path / "net.safetensors")
    (layer,) = outcome.section.layers
    assert (layer.spectral_norm, layer.effective_rank, layer.variance[1], layer.l1[1]) == (None, None, None, None)
    assert layer.l1[0] == 1.0
    assert any("not finite: fc.weight" in warning for warning in outcome.warnings)


@pytest.mark.parametrize(("glob", "error_id"), [("c*", "layers-unknown"), ("norm", "no-weights")])
def test_layers_without_kernels(foreign: Path, glob: str, error_id: str) -> None:
    with pytest.raises(TlvError) as raised:
        _describe(foreign, layers=[glob])
    assert raised.value.error_id == error_id


def test_torch_is_not_needed(foreign: Path) -> None:
    program = (
        "import sys\n"
        "from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig as C\n"
        "from tlvcli.pipelines.analysis.weights import run_weights\n"
        "from tlvcli.pipelines.progress import Silence\n"
        f"run_weights(C(checkpoint={str(foreign)!r}, weights=True), Silence())\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

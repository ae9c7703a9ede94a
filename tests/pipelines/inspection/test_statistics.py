import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.pipelines.inspection.statistics import describe_statistics, statistics_warnings


def test_values_of_a_file(tmp_path: Path) -> None:
    weight = torch.tensor([[1.0, -1.0, 0.0, 4.0], [0.0, 0.0, 0.0, 0.0]])
    save_file({"fc.weight": weight, "fc.bias": torch.zeros(2)}, tmp_path / "a.safetensors")
    section = describe_statistics(open_checkpoint(tmp_path / "a.safetensors"))
    bias, values = sorted(section.tensors, key=lambda one: one.name)
    assert (values.elements, values.mean, values.min, values.max, values.zeros) == (8, 0.5, -1.0, 4.0, 5)
    assert values.std == pytest.approx(2.0**0.5)
    assert values.he_std == pytest.approx(0.5**0.5)
    assert values.std_over_he == pytest.approx(2.0)
    assert (bias.he_std, bias.std_over_he, bias.constant) == (None, None, True)
    assert section.constant == ["fc.bias"]
    assert [(one.tensor, one.channels, one.number, one.of, one.first) for one in section.dead] == [
        ("fc.weight", "filter", 1, 2, [1])
    ]
    assert (section.non_finite, statistics_warnings(section)) == ([], [])


def test_indices_are_bounded() -> None:
    section = describe_statistics(TensorsInMemory({"fc.weight": torch.zeros(50, 3)}))
    assert (section.dead[0].number, section.dead[0].first) == (50, list(range(10)))


def test_one_warning_names_the_first_faults() -> None:
    nan, infinity = float("nan"), float("inf")
    tensors = {name: torch.tensor([1.0, nan]) for name in "dcab"} | {"z": torch.tensor([nan, infinity, nan])}
    section = describe_statistics(TensorsInMemory({**tensors, "ok": torch.ones(1)}))
    assert section.non_finite == ["a", "b", "c", "d", "z"]
    assert statistics_warnings(section) == [
        "values that are not finite: d (1 NaN of 2), c (1 NaN of 2), a (1 NaN of 2) and 2 more"
    ]
    section = describe_statistics(TensorsInMemory({"z": tensors["z"]}))
    assert statistics_warnings(section) == ["values that are not finite: z (2 NaN, 1 infinite of 3)"]


def test_what_cannot_be_said_is_null() -> None:
    huge = torch.full((4,), 1e308, dtype=torch.float64)
    section = describe_statistics(
        TensorsInMemory({"nan": torch.full((2,), float("nan")), "none": torch.empty(0), "huge": huge})
    )
    nan, none, large = section.tensors
    assert (nan.mean, nan.std, nan.min, nan.max, nan.constant) == (None, None, None, None, False)
    assert (none.mean, none.std, none.min, none.max, none.constant) == (None, None, None, None, False)
    assert (large.mean, large.std, large.max, large.constant) == (None, None, 1e308, True)
    assert "NaN" not in section.model_dump_json()


def test_neither_torch_nor_numpy_before_they_are_needed(tmp_path: Path) -> None:
    save_file({"fc.weight": torch.ones(2, 3).bfloat16()}, tmp_path / "a.safetensors")
    code = (
        "import sys; from pathlib import Path; from tlvcli.io.checkpoint import open_checkpoint\n"
        "import tlvcli.pipelines.inspection.difference as difference\n"
        "import tlvcli.pipelines.inspection.statistics as statistics, tlvcli.pipelines.inspection.verification as v\n"
        "assert not {'torch', 'numpy'} & set(sys.modules)\n"
        f"file = open_checkpoint(Path({str(tmp_path / 'a.safetensors')!r}))\n"
        "assert difference.describe_difference(file, file).identical and v.verify(file).holds\n"
        "print(statistics.describe_statistics(file).model_dump_json())\n"
        "assert 'torch' not in sys.modules\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, timeout=60, capture_output=True, text=True)
    assert json.loads(done.stdout)["tensors"][0]["mean"] == 1.0


@pytest.mark.data
def test_dead_filters_of_a_trained_network_are_those_that_normalisation_silences(shared_data: Path) -> None:
    path = shared_data / "checkpoints" / "akamaster_resnet20-12fca82f.th"
    section = describe_statistics(open_checkpoint(path))
    dead = {entry.tensor: entry.first for entry in section.dead}
    filters = {name: first for name, first in dead.items() if "conv" in name}
    assert filters == {name.replace("bn", "conv"): first for name, first in dead.items() if "bn" in name}
    assert (len(filters), sum(map(len, filters.values()))) == (11, 18)
    assert section.constant == []

from pathlib import Path

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.pipelines.inspection.content import inspect_layers
from tlvcli.pipelines.inspection.plots import draw_histograms


def draw(names: list[str], folder: Path) -> list[str]:
    source = TensorsInMemory({f"{name}.weight": torch.arange(4.0) for name in names})
    outputs = draw_histograms(source, inspect_layers(source.specs), folder, force=False)
    return [output.path for output in outputs]


def test_no_name_of_a_layer_leads_out_of_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "plots"
    folder.parent.mkdir()
    drawn = draw(["../evil", str(tmp_path / "absolute"), "a/b", "a_b", "l" * 300, "layer1.0"], folder)
    assert sorted(map(str, folder.iterdir())) == sorted(drawn)
    assert len(drawn) == 6
    assert [path for path in tmp_path.rglob("*.png") if path.parent != folder] == []
    assert (folder / "layer1.0.png").is_file()


def test_nothing_is_drawn_where_one_picture_exists(tmp_path: Path) -> None:
    (tmp_path / "b.png").touch()
    with pytest.raises(TlvError, match="exists"):
        draw(["a", "b"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]

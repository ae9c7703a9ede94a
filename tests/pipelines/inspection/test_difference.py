from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from tlvcli.core.errors import TlvError
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.pipelines.inspection.difference import DifferenceSection, describe_difference

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def network() -> Tensors:
    torch.manual_seed(0)
    module = nn.Sequential()
    module.add_module("conv", nn.Conv2d(3, 4, 3))
    module.add_module("bn", nn.BatchNorm2d(4))
    module.add_module("fc", nn.Linear(4, 2))
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def compare(source: Tensors, reference: Tensors, **tolerance: float) -> DifferenceSection:
    return describe_difference(TensorsInMemory(source), TensorsInMemory(reference), **tolerance)


def test_two_files_of_one_network(network: Tensors, tmp_path: Path) -> None:
    save_file(network, tmp_path / "a.safetensors")
    torch.save({"state_dict": network}, tmp_path / "a.pt")
    section = describe_difference(open_checkpoint(tmp_path / "a.safetensors"), open_checkpoint(tmp_path / "a.pt"))
    assert (section.identical, section.unchanged) == (True, 9)
    assert section.changed == section.retyped == section.reshaped == section.renamed == []
    assert section.added == section.removed == []


def test_every_way_to_differ(network: Tensors) -> None:
    reference = {**network, "old.weight": torch.arange(4.0), "gone": torch.tensor([7.0, 8.0])}
    source = {
        **network,
        "conv.weight": network["conv.weight"] * 1.1,
        "conv.bias": network["conv.bias"].half(),
        "fc.weight": torch.ones(3, 4),
        "new.weight": torch.arange(4.0),
        "came": torch.ones(1),
    }
    section = compare(source, reference)
    assert not section.identical
    assert section.unchanged == 6
    assert [one.name for one in section.changed] == ["conv.weight"]
    values = section.changed[0].values
    assert (values.relative_l2, values.cosine) == (pytest.approx(0.1, rel=1e-5), pytest.approx(1.0))
    assert values.differing == section.changed[0].elements == 108
    assert values.max_abs == pytest.approx(0.1 * float(network["conv.weight"].abs().max()), rel=1e-5)
    (retyped,) = section.retyped
    assert (retyped.name, retyped.reference_dtype, retyped.dtype) == ("conv.bias", "float32", "float16")
    assert 0 < retyped.values.relative_l2 < 2**-11
    assert [(one.name, one.reference_shape, one.shape) for one in section.reshaped] == [("fc.weight", (2, 4), (3, 4))]
    assert [(one.reference_name, one.name) for one in section.renamed] == [("old.weight", "new.weight")]
    assert (section.added, section.removed) == (["came"], ["gone"])
    assert "NaN" not in section.model_dump_json()


def test_both_ways_find_the_same(network: Tensors) -> None:
    other = {**network, "fc.bias": network["fc.bias"] + 1, "x": torch.ones(1)}
    del other["bn.weight"]
    there, back = compare(other, network), compare(network, other)
    assert (there.added, there.removed) == (back.removed, back.added) == (["x"], ["bn.weight"])
    assert there.changed[0].values.max_abs == back.changed[0].values.max_abs == pytest.approx(1.0)
    assert there.unchanged == back.unchanged


def test_tolerance_decides_what_has_changed(network: Tensors) -> None:
    near = {name: tensor + 1e-6 if tensor.is_floating_point() else tensor for name, tensor in network.items()}
    assert len(compare(near, network).changed) == 8
    section = compare(near, network, atol=2e-6)
    assert (section.identical, section.unchanged, section.atol) == (True, 9, 2e-6)


def test_a_backbone_under_a_prefix(network: Tensors) -> None:
    section = compare(network, {f"backbone.{name}": tensor for name, tensor in network.items()})
    assert section.prefix_rename is not None
    assert (section.prefix_rename.reference_prefix, section.prefix_rename.prefix) == ("backbone.", "")
    assert (section.prefix_rename.tensors, len(section.renamed)) == (9, 9)
    assert (section.added, section.removed, section.identical) == ([], [], False)


def test_blocks_sum_their_tensors() -> None:
    names = ("net.a.0.weight", "net.a.1.weight", "net.b.0.weight")
    reference = {name: torch.tensor([3.0, 4.0]) for name in names} | {"net.b.0.count": torch.tensor(3)}
    source = {**reference, "net.a.1.weight": torch.tensor([3.0, 5.0]), "net.b.0.count": torch.tensor(4)}
    section = compare(source, reference)
    assert [(one.name, one.tensors, one.changed) for one in section.blocks] == [("net.a", 2, 1), ("net.b", 1, 0)]
    assert [one.relative_l2 for one in section.blocks] == [pytest.approx(1 / 50**0.5), 0.0]
    assert [one.name for one in section.changed] == ["net.a.1.weight", "net.b.0.count"]


def test_nothing_in_common(network: Tensors) -> None:
    with pytest.raises(TlvError, match=r"one has conv\.weight, the other stem\.w") as caught:
        compare(network, {"stem.w": torch.ones(4)})
    assert caught.value.error_id == "not-comparable"

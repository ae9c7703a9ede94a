"""Weight selection: which channels are taken, and that whoever reads them takes the same ones."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.methods.conftest import Planner, plain_net
from tlvcli.core.errors import TlvError
from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.family_options import WeightSelectionOptions
from tlvcli.methods.matching.names import evenly_spaced, match_names
from tlvcli.methods.weight_selection import plan_weight_selection
from tlvcli.models.builders import build_skeleton
from tlvcli.models.graph import graph_of_module, graph_of_tensors


def _plan(source: str, target: str, **choices: str) -> TransferPlan:
    modules = [build_skeleton(Architecture(name=name, num_classes=10)) for name in (source, target)]
    states = [module.state_dict() for module in modules]
    graphs = [graph_of_module(module) for module in modules]
    options = WeightSelectionOptions.model_validate(choices)
    return plan_weight_selection(TensorsInMemory(states[0]), graphs[0], states[1], graphs[1], options=options, seed=0)


def _map(plan: TransferPlan, name: str, dim: int) -> list[int]:
    return plan.arrays[f"{name}:index{dim}"].tolist()


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [((8, 4), [0, 2, 4, 6]), ((9, 3), [0, 3, 6]), ((3, 3), [0, 1, 2]), ((7, 3), [0, 3, 6]), ((10, 4), [0, 3, 6, 9])],
)
def test_positions_are_evenly_spaced(sizes: tuple[int, int], expected: list[int]) -> None:
    assert evenly_spaced(*sizes).tolist() == expected


def test_every_tensor_takes_the_same_channels(plan: Planner) -> None:
    source, target = plain_net((8, 12)), plain_net((4, 5), seed=3)
    made, tensors = plan("weight-selection", source, target)
    state, first, second = source.state_dict(), [0, 2, 4, 6], [0, 3, 6, 8, 11]
    assert torch.equal(tensors["0.weight"], state["0.weight"][first])
    assert torch.equal(tensors["1.running_var"], state["1.running_var"][first])
    assert torch.equal(tensors["3.weight"], state["3.weight"][second][:, first])
    assert torch.equal(tensors["4.bias"], state["4.bias"][second])
    assert torch.equal(tensors["8.weight"], target.state_dict()["8.weight"])
    selected, _ = plan("weight-selection", source, target, head="select")
    assert _map(selected, "8.weight", 1) == second
    assert made.rows[0].reason == "0.weight: 8x3x3x3 -> 4x3x3x3, evenly spaced"


class _Flat(nn.Sequential):
    """Convolutions of some width, flattened into a linear layer."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(3, width, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(width * 9, width), nn.Linear(width, 2)
        )

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(nn.functional.adaptive_avg_pool2d(images, 7))


def test_flattened_channels_keep_their_places(plan: Planner) -> None:
    torch.manual_seed(0)
    made, _ = plan("weight-selection", _Flat(6), _Flat(3))
    expected = [channel * 9 + place for channel in (0, 2, 4) for place in range(9)]
    assert _map(made, "3.weight", 1) == expected
    published, _ = plan("weight-selection", _Flat(6), _Flat(3), channels="per-dimension")
    assert _map(published, "3.weight", 1) == list(range(0, 54, 2))


def _encoder(heads: int, width: int) -> nn.Module:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, width, 8, stride=8)
            self.block = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True)
            self.head = nn.Linear(width, 2)

        def forward(self, images: Tensor) -> Tensor:
            return self.head(self.block(self.stem(images).flatten(2).transpose(1, 2)).mean(1))

    return Encoder()


def test_packed_queries_keys_and_values_are_selected_by_whole_heads(plan: Planner) -> None:
    torch.manual_seed(0)
    source, target = _encoder(heads=3, width=12), _encoder(heads=2, width=8)
    made, _ = plan("weight-selection", source, target)
    heads = [*range(4), *range(8, 12)]  # the first and the last of three heads, four channels each
    packed = [part * 12 + row for part in range(3) for row in heads]
    assert _map(made, "block.self_attn.in_proj_weight", 0) == packed
    assert _map(made, "block.self_attn.in_proj_bias", 0) == packed
    assert _map(made, "block.self_attn.out_proj.weight", 1) == heads
    stream = evenly_spaced(12, 8).tolist()
    assert _map(made, "block.self_attn.in_proj_weight", 1) == stream
    assert _map(made, "block.norm2.weight", 0) == stream == _map(made, "stem.weight", 0)


def test_concatenated_inputs_follow_the_layers_that_write_them() -> None:
    made = _plan("densenet161", "densenet121")
    stem = evenly_spaced(96, 64).tolist()
    assert _map(made, "features.conv0.weight", 0) == stem
    grown = evenly_spaced(48, 32).tolist()
    expected = stem + [96 + 48 * layer + channel for layer in range(6) for channel in grown]
    assert _map(made, "features.transition1.conv.weight", 1) == expected
    assert _map(made, "features.transition1.norm.running_mean", 0) == expected
    assert sum("by itself" in row.reason for row in made.rows) == 0


def test_whole_groups_are_selected_where_their_number_differs() -> None:
    made = _plan("resnext101_64x4d", "resnext50_32x4d")
    whole = [group * 4 + channel for group in range(0, 64, 2) for channel in range(4)]
    assert _map(made, "layer1.0.conv1.weight", 0) == whole == _map(made, "layer1.0.conv2.weight", 0)
    assert _map(made, "layer1.0.conv2.weight", 1) == [0, 1, 2, 3]
    assert _map(made, "layer1.0.conv3.weight", 1) == whole


@pytest.mark.parametrize(
    ("source", "target", "coverage"),
    [
        ("wide_resnet50_2", "resnet50", 0.999),
        ("efficientnet_b1", "efficientnet_b0", 0.996),
        ("swin_s", "swin_t", 0.999),
    ],
)
def test_families_of_torchvision(source: str, target: str, coverage: float) -> None:
    made = _plan(source, target)
    graph = graph_of_module(build_skeleton(Architecture(name=target, num_classes=10)))
    assert coverage <= made.coverage(graph) < 1.0
    assert all("by itself" not in row.reason for row in made.rows)


def test_first_blocks_or_evenly_spaced_ones() -> None:
    source = [f"layer{stage}.{block}.conv.weight" for stage in (1, 2) for block in range(7)]
    target = [f"layer{stage}.{block}.conv.weight" for stage in (1, 2) for block in range(3)]
    assert match_names(source, target, depth="first") == dict(zip(target, target, strict=True))
    spaced = match_names(source, target, depth="uniform")
    assert list(spaced.values())[:3] == [f"layer1.{block}.conv.weight" for block in (0, 3, 6)]
    made = {row.tensor: row.source for row in _plan("densenet201", "densenet121", depth="uniform").rows}
    assert made["features.denseblock3.denselayer24.conv1.weight"] == "features.denseblock3.denselayer48.conv1.weight"
    assert made["features.denseblock3.denselayer1.conv1.weight"] == "features.denseblock3.denselayer1.conv1.weight"


def test_other_sizes_of_kernels_and_positions_are_named() -> None:
    reasons = {row.tensor: row.reason for row in _plan("vit_l_32", "vit_b_16").rows}
    assert reasons["conv_proj.weight"].startswith("other kernels: 1024x3x32x32 -> 768x3x16x16")
    assert reasons["encoder.pos_embedding"].startswith("other positions: 1x50x1024 -> 1x197x768")


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("resnet18", "resnet34", r"has \d+% of it \(layer1.2.conv1.weight .* no tensor of this name"),
        ("vgg16", "resnet18", "has 0% of it"),
        ("vgg16", "vgg11", "same family"),
        ("resnet50", "wide_resnet50_2", "only shrinks: layer1.0.conv1.weight is 128x64x1x1"),
    ],
)
def test_strangers_and_wider_targets_are_refused(source: str, target: str, words: str) -> None:
    with pytest.raises(TlvError, match=words) as caught:
        _plan(source, target)
    assert caught.value.error_id == "method-not-applicable"


def test_a_source_of_names_alone_is_selected_dimension_by_dimension() -> None:
    source, target = plain_net((8, 12)), plain_net((4, 6), seed=3)
    tensors = TensorsInMemory(source.state_dict())
    made = plan_weight_selection(
        tensors,
        graph_of_tensors(tensors.specs),
        target.state_dict(),
        graph_of_module(target),
        options=WeightSelectionOptions(),
        seed=0,
    )
    assert "architecture is not known" in made.warnings[0]
    assert _map(made, "3.weight", 1) == [0, 2, 4, 6]
    assert made.rows[0].reason.endswith("every dimension by itself")


class _Untraceable(nn.Module):
    """Its forward pass asks for values, which a trace by shapes does not have."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, width, 3), nn.Linear(width, 5)

    def forward(self, images: Tensor) -> Tensor:
        features = self.stem(images).mean((2, 3))
        out: Tensor = self.fc(features * 2 if float(features.sum()) > 0 else features)
        return out


def test_what_cannot_be_traced_is_selected_dimension_by_dimension(plan: Planner) -> None:
    source, target = _Untraceable(8), _Untraceable(4)
    made, tensors = plan("weight-selection", source, target)
    assert made.warnings == ("the source cannot be traced: channels are chosen in every dimension by itself",)
    assert torch.equal(tensors["stem.weight"], source.stem.weight[[0, 2, 4, 6]])
    assert torch.equal(tensors["fc.weight"], target.fc.weight)

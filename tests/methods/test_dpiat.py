"""DPIAT, corrected: what follows what, and that the rest says why it stays."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.methods.conftest import Planner
from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import find_method
from tlvcli.models.builders import build
from tlvcli.models.graph import graph_of_module, graph_of_tensors


def _conv_norm(width_in: int, width: int) -> nn.Sequential:
    net = nn.Sequential(nn.Conv2d(width_in, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU())
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.5, 2.0)
    net[1].num_batches_tracked.fill_(17)
    return net


def _sources(made: TransferPlan) -> dict[str, str | None]:
    return {row.tensor: row.source for row in made.rows}


def test_same_architecture_is_the_identity(plan: Planner) -> None:
    source, target = (build(Architecture(name="resnet18", num_classes=10), seed=seed) for seed in (0, 1))
    made, tensors = plan("dpiat", source, target)
    assert made.coverage(graph_of_module(target)) == 1.0
    assert all(torch.equal(tensors[name], tensor) for name, tensor in source.state_dict().items())


def test_running_statistics_keep_the_targets_own_where_it_is_wider(plan: Planner) -> None:
    torch.manual_seed(0)
    source, target = nn.Sequential(*_conv_norm(3, 4)), nn.Sequential(*_conv_norm(3, 7))
    _, tensors = plan("dpiat", source, target)
    for name in ("1.weight", "1.bias", "1.running_mean", "1.running_var"):
        expected = target.state_dict()[name].clone()
        expected[1:5] = source.state_dict()[name]
        assert torch.equal(tensors[name], expected)
    assert int(tensors["1.num_batches_tracked"]) == 17


def test_normalisation_follows_its_convolution_not_its_own_shape(plan: Planner) -> None:
    torch.manual_seed(0)
    source = nn.Sequential(*_conv_norm(3, 8), nn.Conv2d(8, 16, 3), *_conv_norm(16, 32))
    target = nn.Sequential(*_conv_norm(3, 8), *_conv_norm(8, 16), *_conv_norm(16, 32))
    sources = _sources(plan("dpiat", source, target)[0])
    assert [sources[f"{index}.weight"] for index in (0, 1, 3, 6, 7)] == [f"{i}.weight" for i in (0, 1, 3, 4, 5)]
    made, tensors = plan("dpiat", source, target)
    row = next(row for row in made.rows if row.tensor == "4.running_mean")
    assert (row.source, row.operation) == (None, "keep")
    assert "no batch normalisation after 3" in row.reason
    assert torch.equal(tensors["4.running_mean"], target[4].running_mean)


@pytest.mark.parametrize(("choice", "expected"), [("follow", "1.weight"), ("match", "1.weight"), ("off", None)])
def test_normalisation_can_be_matched_or_left(plan: Planner, choice: str, expected: str | None) -> None:
    source, target = nn.Sequential(*_conv_norm(3, 4)), nn.Sequential(*_conv_norm(3, 6))
    made, _ = plan("dpiat", source, target, normalisation=choice)
    assert _sources(made)["1.weight"] == expected
    assert _sources(made)["0.weight"] == "0.weight"


def test_layer_norm_is_transferred_and_kinds_do_not_mix(plan: Planner) -> None:
    source = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(8, 8), nn.LayerNorm(8))
    target = nn.Sequential(nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.Linear(8, 8), nn.LayerNorm(8))
    sources = _sources(plan("dpiat", source, target)[0])
    assert sources["1.weight"] is None
    assert sources["3.weight"] == "3.weight"


def test_a_normalisation_without_weight_gives_its_statistics(plan: Planner) -> None:
    source, target = (nn.Sequential(nn.BatchNorm2d(width, affine=False)) for width in (6, 4))
    source[0].running_mean.copy_(torch.arange(6.0))
    _, tensors = plan("dpiat", source, target)
    assert tensors["0.running_mean"].tolist() == [1, 2, 3, 4]


def test_what_is_no_weight_of_a_layer_says_why_it_stays(plan: Planner) -> None:
    source, target = (build(Architecture(name="vit_b_16", num_classes=2), seed=seed) for seed in (0, 1))
    made, tensors = plan("dpiat", source, target)
    rows = {row.tensor: row for row in made.rows}
    packed = "encoder.layers.encoder_layer_0.self_attention.in_proj_weight"
    assert rows[packed].operation == "keep"
    assert "dpiat maps convolutions" in rows[packed].reason
    assert torch.equal(tensors[packed], target.state_dict()[packed])
    assert rows["encoder.layers.encoder_layer_0.mlp.0.weight"].operation == "copy"


def test_a_state_dict_gives_the_plan_its_module_gives() -> None:
    source, target = (
        build(Architecture(name=name, num_classes=10), seed=0) for name in ("mobilenet_v2", "shufflenet_v2_x1_0")
    )
    tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
    recipe = make_recipe(find_method("dpiat"), {}, {})
    plans = [
        recipe.plan(tensors, graph, state, graph_of_module(target), seed=0)
        for graph in (graph_of_module(source), graph_of_tensors(tensors.specs))
    ]
    assert plans[0].rows == plans[1].rows
    assert plans[0].coverage(graph_of_module(target)) > 0.4

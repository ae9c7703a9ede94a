"""Networks that have little in common, and tensors of odd rank, size, dtype or name: nothing fails, all is said."""

from __future__ import annotations

import warnings
from itertools import product

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

from tests.methods.conftest import Planner, odd_net, plain_net
from tlvcli.core.plan import TransferPlan
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.execute import execute
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import find_method
from tlvcli.models.graph import graph_of_module, graph_of_tensors


class Loose(nn.Module):
    """A scalar, an empty tensor, a parameter in no layer, a layer without inputs and one of a single weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(float(width)))
        self.empty = nn.Parameter(torch.zeros(0, 4))
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch has nothing to initialise
            self.nothing = nn.Linear(0, 3)
        self.single = nn.Linear(1, 1)
        self.norm = nn.LayerNorm(width)


class Tied(nn.Module):
    """An embedding that is the head, too, as in language models; and one convolution under two names."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(width, width)
        self.last = nn.Linear(width, width)
        self.last.weight = self.first.weight
        self.conv = nn.Conv2d(3, width, 3)
        self.again = self.conv


def _normalised(width: int) -> nn.Module:
    return nn.Sequential(parametrizations.weight_norm(nn.Conv2d(3, width, 3)), nn.Linear(width, 2))


NETWORKS = {
    "plain": lambda: plain_net(),
    "odd": lambda: odd_net(),
    "1-D": lambda: nn.Sequential(nn.Conv1d(2, 8, 5), nn.BatchNorm1d(8), nn.Conv1d(8, 8, 3, groups=8), nn.Linear(8, 2)),
    "1-D, wider": lambda: nn.Sequential(nn.Conv1d(1, 12, 3), nn.BatchNorm1d(12), nn.Linear(12, 3)),
    "3-D": lambda: nn.Sequential(nn.Conv3d(2, 8, 3), nn.BatchNorm3d(8), nn.Linear(8, 2)),
    "transposed": lambda: nn.Sequential(nn.ConvTranspose2d(4, 8, 2), nn.BatchNorm2d(8), nn.ConvTranspose1d(8, 6, 4)),
    "transposed, wider": lambda: nn.Sequential(nn.ConvTranspose2d(6, 10, 3, groups=2), nn.BatchNorm2d(10)),
    "loose": lambda: Loose(3),
    "looser": lambda: Loose(5),
    "tied": lambda: Tied(6),
    "weight norm": lambda: _normalised(4),
    "weight norm, wider": lambda: _normalised(6),
    "attention": lambda: nn.Sequential(nn.MultiheadAttention(4, 2), nn.MultiheadAttention(4, 2, kdim=3, vdim=2)),
    "recurrent": lambda: nn.Sequential(nn.Embedding(10, 4), nn.LSTM(4, 5), nn.Bilinear(2, 3, 4)),
    "empty": lambda: nn.Sequential(nn.ReLU()),
}


def _reasons(made: TransferPlan) -> dict[str, str]:
    return {row.tensor: row.reason for row in made.rows}


@pytest.mark.parametrize("method", ["tlv", "dpiat"])
@pytest.mark.parametrize("knows_source", [True, False])
def test_any_network_into_any_other(method: str, knows_source: bool) -> None:
    for from_name, to_name in product(NETWORKS, NETWORKS):
        torch.manual_seed(0)
        source, target = NETWORKS[from_name](), NETWORKS[to_name]()
        tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
        graph = graph_of_module(source) if knows_source else graph_of_tensors(tensors.specs)
        plan = make_recipe(find_method(method), {}, {}).plan(tensors, graph, state, graph_of_module(target), seed=0)
        made = dict(execute(plan, tensors, state))
        pair = f"{from_name} -> {to_name}"
        assert [row.tensor for row in plan.rows] == list(state), pair
        for row in plan.rows:
            assert row.reason, pair
            assert (row.source is None) == (row.transferred == 0.0), (pair, row)
            assert (made[row.tensor].shape, made[row.tensor].dtype) == (row.shape, state[row.tensor].dtype), pair
            assert torch.isfinite(made[row.tensor]).all(), (pair, row)
        target.load_state_dict(made, strict=True)


@pytest.mark.parametrize("method", ["tlv", "dpiat"])
def test_nothing_in_common_is_a_warning(plan: Planner, method: str) -> None:
    source, target = nn.Sequential(nn.Conv3d(2, 8, 3)), nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    made, tensors = plan(method, source, target)
    assert made.coverage(graph_of_module(target)) == 0.0
    assert made.warnings[-1].startswith("coverage is 0: ")
    assert _reasons(made)["0.weight"] == "the source has no convolution"
    assert all(torch.equal(tensors[name], own) for name, own in target.state_dict().items())
    assert plan(method, plain_net(), plain_net((4, 6)))[0].warnings == ()
    assert plan("he", source, target)[0].warnings == ()  # it means to


def test_dpiat_maps_convolutions_of_every_rank(plan: Planner) -> None:
    for source, target in (
        (nn.Conv1d(2, 8, 5), nn.Conv1d(2, 4, 3)),
        (nn.Conv3d(2, 8, 5), nn.Conv3d(2, 4, 3)),
        (nn.ConvTranspose2d(2, 8, 5), nn.ConvTranspose2d(2, 4, 3)),
    ):
        _, tensors = plan("dpiat", nn.Sequential(source), nn.Sequential(target))
        outputs = (slice(None), slice(2, 6)) if isinstance(source, nn.ConvTranspose2d) else (slice(2, 6),)
        middle = (..., *[slice(1, 4)] * (source.weight.dim() - 2))
        assert torch.equal(tensors["0.weight"], source.weight[outputs][middle])
        assert torch.equal(tensors["0.bias"], source.bias[2:6])


def test_tlv_leaves_other_ranks_and_does_not_call_them_unmapped_layers(plan: Planner) -> None:
    made, tensors = plan("tlv", NETWORKS["1-D"](), NETWORKS["1-D, wider"]())
    assert _reasons(made)["0.weight"].startswith("tlv maps 2-D convolutions and linear layers only")
    assert float(tensors["2.bias"].abs().max()) == 0.0  # the linear layer is drawn


def test_kinds_are_named_as_they_are(plan: Planner) -> None:
    source = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8))
    target = nn.Sequential(nn.Conv2d(3, 8, 3), nn.LayerNorm(8), nn.Identity(), nn.LayerNorm(8))
    reasons = _reasons(plan("dpiat", source, target)[0])
    assert reasons["1.weight"] == "no layer or group normalisation after 0"
    assert reasons["3.weight"] == "the source has no layer or group normalisation"


def test_kernels_of_another_size_say_what_becomes_of_them(plan: Planner) -> None:
    made, _ = plan("tlv", nn.Sequential(nn.Conv2d(3, 4, (7, 1))), nn.Sequential(nn.Conv2d(3, 4, (3, 5))))
    assert made.rows[0].reason.endswith("4x3x7x1 -> 4x3x3x5; kernel pooled (avg); kernel amid zeros")
    assert made.rows[0].transferred == pytest.approx(1 / 5)


def test_a_source_that_feeds_many_is_a_warning(plan: Planner) -> None:
    deep = nn.Sequential(*(nn.Conv2d(4, 4, 3) for _ in range(11)))
    for method in ("tlv", "dpiat"):
        made, _ = plan(method, nn.Sequential(nn.Conv2d(4, 4, 3)), deep)
        assert "0 feeds 11 target layers: coverage counts its values in each of them" in made.warnings
        assert plan(method, nn.Sequential(nn.Conv2d(4, 4, 3)), deep[:10])[0].warnings == ()


def test_attentions_projections_are_linear_layers_to_tlv(plan: Planner) -> None:
    torch.manual_seed(0)
    source = nn.Sequential(nn.MultiheadAttention(64, 2), nn.Linear(64, 10))
    target = nn.Sequential(nn.MultiheadAttention(96, 2), nn.Linear(96, 10))
    made, tensors = plan("tlv", source, target)
    rows = {row.tensor: row for row in made.rows}
    sources = (source[0].in_proj_weight, source[0].out_proj.weight, source[1].weight)
    spread = sum(float(weight.std()) for weight in sources) / 3
    assert rows["0.in_proj_weight"].operation == "normal"
    assert float(tensors["0.in_proj_weight"].std()) == pytest.approx(spread, rel=0.02)
    assert float(tensors["0.in_proj_bias"].abs().max()) == 0.0
    assert made.coverage(graph_of_module(target)) == 0.0
    kept = {row.tensor: row for row in plan("dpiat", source, target)[0].rows}
    assert kept["0.in_proj_weight"].operation == "keep"


@pytest.mark.parametrize("weight", [torch.empty(0, 3), torch.ones(1, 1), torch.tensor([[1.0, float("nan")]])])
def test_statistics_of_nothing_keep_the_initialisation(plan: Planner, weight: torch.Tensor) -> None:
    source = nn.Sequential(nn.Linear(2, 2))
    source[0].weight = nn.Parameter(weight)
    target = nn.Sequential(nn.Linear(4, 3), nn.MultiheadAttention(4, 2))
    made, tensors = plan("tlv", source, target)
    assert "3 linear layers keep their own initialisation" in made.warnings[0]
    assert all(torch.equal(tensors[name], own) for name, own in target.state_dict().items())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("method", ["tlv", "dpiat"])
def test_sources_of_other_dtypes(plan: Planner, method: str, dtype: torch.dtype) -> None:
    source, target = plain_net((6, 20)), odd_net()
    expected = plan(method, source.to(dtype).float(), target)
    made = plan(method, source.to(dtype), target)
    for name, tensor in made[1].items():
        assert tensor.dtype == target.state_dict()[name].dtype
        assert torch.equal(tensor, expected[1][name])
    assert [row.transferred for row in made[0].rows] == [row.transferred for row in expected[0].rows]


@pytest.mark.parametrize("method", ["tlv", "dpiat"])
def test_tied_tensors_stay_tied(plan: Planner, method: str) -> None:
    torch.manual_seed(0)
    target = Tied(9)
    made, tensors = plan(method, Tied(6), target)
    assert torch.equal(tensors["first.weight"], tensors["last.weight"])
    assert torch.equal(tensors["conv.weight"], tensors["again.weight"])
    assert _reasons(made)["first.weight"].startswith("the same tensor as last.weight: ")
    assert _reasons(made)["conv.bias"].startswith("the same tensor as again.bias: ")
    target.load_state_dict(tensors, strict=True)
    assert all(torch.equal(target.state_dict()[name], tensor) for name, tensor in tensors.items())


def test_a_weight_that_is_computed_is_no_weight(plan: Planner) -> None:
    for method in ("tlv", "dpiat"):
        made, tensors = plan(method, _normalised(4), (target := _normalised(6)))
        rows = {row.tensor: row for row in made.rows}
        assert {rows[name].operation for name in rows if name.startswith("0.")} == {"keep"}
        assert torch.equal(tensors["0.bias"], target[0].bias)

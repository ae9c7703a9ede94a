"""The corrected variance mapping, on numbers one can check by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from tests.methods.conftest import Planner, odd_net, plain_net
from tlvcli.methods.mapping.variance import choose

VALUES = torch.tensor([[5.0, 1.0, 4.0, 2.0, 3.0, 0.0]])  # ranks ascending: channels 5 1 3 4 2 0


@pytest.mark.parametrize(
    ("mode", "count", "expected"),
    [
        ("max-var", 2, [0, 2]),
        ("min-var", 3, [1, 3, 5]),
        ("two-tailed", 2, [0, 5]),
        ("two-tailed", 3, [0, 2, 5]),
        ("two-tailed", 1, [0]),
        ("interleaved", 2, [0, 5]),
        ("interleaved", 3, [0, 3, 5]),
        ("interleaved", 6, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_choices_in_channel_order(mode: str, count: int, expected: list[int]) -> None:
    assert choose(lambda: VALUES, (1, 6), mode, count, torch.Generator())[0].tolist() == expected


def test_random_draws_without_replacement_over_all_channels() -> None:
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([choose(lambda: VALUES, (1, 6), "random", 3, generator)[0] for _ in range(200)])
    assert all(len(set(row)) == 3 for row in drawn.tolist())
    assert set(drawn.flatten().tolist()) == set(range(6))


def _conv(source: nn.Conv2d, target: nn.Conv2d, plan: Planner, **choices: str) -> torch.Tensor:
    return plan("tlv", nn.Sequential(source), nn.Sequential(target), **choices)[1]["0.weight"]


def test_same_architecture_is_the_identity_but_for_linear_layers(plan: Planner) -> None:
    source, target = plain_net(seed=0), plain_net(seed=7)
    made, tensors = plan("tlv", source, target)
    for row in made.rows:
        if row.tensor.startswith(("0.", "3.")):
            assert row.operation == "copy"
            assert torch.equal(tensors[row.tensor], source.state_dict()[row.tensor])


def test_narrower_keeps_whole_channels(plan: Planner) -> None:
    torch.manual_seed(0)
    source, target = nn.Conv2d(6, 8, 3), nn.Conv2d(4, 5, 3)
    out = _conv(source, target, plan)
    filters = source.weight.var(dim=(1, 2, 3), correction=0).argsort()[[0, 2, 4, 5, 7]].sort().values
    inputs = source.weight.var(dim=(0, 2, 3), correction=0).argsort()[[0, 2, 3, 5]].sort().values
    assert torch.equal(out, source.weight[filters][:, inputs])


def test_wider_keeps_the_targets_own_elsewhere(plan: Planner) -> None:
    torch.manual_seed(0)
    source, target = nn.Conv2d(2, 3, 3), nn.Conv2d(5, 7, 3)
    made, tensors = plan("tlv", nn.Sequential(source), nn.Sequential(target))
    out = tensors["0.weight"]
    taken = (out != target.weight).any(dim=(2, 3))
    assert int(taken.sum()) == 6
    assert made.rows[0].transferred == pytest.approx(6 / 35)
    rows, columns = taken.any(1).nonzero().flatten(), taken.any(0).nonzero().flatten()
    assert torch.equal(out[rows][:, columns], source.weight)
    assert torch.equal(tensors["0.bias"][rows], source.bias)
    assert int((tensors["0.bias"] != target.bias).sum()) == 3


@pytest.mark.parametrize(("size", "wanted"), [(3, 7), (2, 5), (1, 3), ((1, 5), (3, 5))])
def test_smaller_kernel_sits_in_the_middle(plan: Planner, size: int, wanted: int) -> None:
    torch.manual_seed(0)
    source, target = nn.Conv2d(4, 4, size), nn.Conv2d(4, 4, wanted)
    height, width = source.weight.shape[2:]
    top, left = (wanted_size - have for wanted_size, have in zip(target.weight.shape[2:], (height, width), strict=True))
    window = slice(top // 2, top // 2 + height), slice(left // 2, left // 2 + width)
    zeros, own = _conv(source, target, plan), _conv(source, target, plan, pad="init")
    assert torch.equal(zeros[(..., *window)], source.weight)
    assert float(zeros.abs().sum()) == pytest.approx(float(source.weight.abs().sum()))
    expected = target.weight.detach().clone()
    expected[(..., *window)] = source.weight
    assert torch.equal(own, expected)


@pytest.mark.parametrize("pool", ["avg", "max"])
def test_larger_kernel_is_pooled(plan: Planner, pool: str) -> None:
    torch.manual_seed(0)
    source, target = nn.Conv2d(4, 4, (5, 3)), nn.Conv2d(4, 4, (3, 1))
    function = F.avg_pool2d if pool == "avg" else F.max_pool2d
    assert torch.equal(_conv(source, target, plan, pool=pool), function(source.weight, (3, 3), stride=1))


@pytest.mark.parametrize("shuffle", ["consistent", "independent"])
def test_shuffle_permutes_and_loses_nothing(plan: Planner, shuffle: str) -> None:
    torch.manual_seed(0)
    source, target = nn.Conv2d(6, 8, 3), nn.Conv2d(6, 8, 3)
    out = _conv(source, target, plan, shuffle=shuffle)
    assert not torch.equal(out, source.weight)
    kernels = [sorted(map(tuple, weight.flatten(0, 1).flatten(1).tolist())) for weight in (out, source.weight)]
    assert kernels[0] == kernels[1]
    # A filter of the result holds the kernels of one filter of the source; which, its sum tells.
    owner = (out.sum(dim=(1, 2, 3))[:, None] - source.weight.sum(dim=(1, 2, 3))).abs().argmin(dim=1)
    assert sorted(owner.tolist()) == list(range(8))
    orders = {
        tuple((kernels[:, None] - source.weight[filter_index]).abs().sum(dim=(2, 3)).argmin(dim=1).tolist())
        for kernels, filter_index in zip(out, owner.tolist(), strict=True)
    }
    assert (len(orders) == 1) == (shuffle == "consistent")


def test_per_filter_choice_ranks_each_filters_kernels(plan: Planner) -> None:
    torch.manual_seed(0)
    source, target = nn.Conv2d(9, 4, 3), nn.Conv2d(3, 4, 3)
    out = _conv(source, target, plan, fan_in="per-filter", keep="max-var")
    for mine, theirs in zip(out, source.weight, strict=True):
        largest = theirs.var(dim=(1, 2), correction=0).topk(3).indices.sort().values
        assert torch.equal(mine, theirs[largest])


def test_pointwise_kernels_are_ranked_by_their_square(plan: Planner) -> None:
    torch.manual_seed(0)
    source, target = nn.Conv2d(9, 4, 1), nn.Conv2d(2, 4, 1)
    out = _conv(source, target, plan, fan_in="per-filter", keep="max-var")
    largest = source.weight.flatten(1).abs().topk(2, dim=1).indices.sort(dim=1).values
    assert torch.equal(out.flatten(1), source.weight.flatten(1).gather(1, largest))


def test_depthwise_without_a_depthwise_source_is_left_alone(plan: Planner) -> None:
    made, _ = plan("tlv", plain_net(), odd_net())
    row = next(row for row in made.rows if row.tensor == "2.weight")
    assert (row.operation, row.transferred) == ("keep", 0.0)
    assert "no depthwise convolution" in row.reason
    made, _ = plan("tlv", odd_net(), odd_net(seed=5))
    assert next(row for row in made.rows if row.tensor == "2.weight").operation == "copy"


@pytest.mark.parametrize(("choice", "divisor"), [("cumulative", 1), ("divided", 2)])
def test_linear_layers_are_drawn_from_the_sources_statistics(plan: Planner, choice: str, divisor: int) -> None:
    source = nn.Sequential(nn.Linear(300, 200), nn.Linear(40, 30))
    target = nn.Sequential(nn.Linear(500, 400), nn.Linear(400, 3, bias=False))
    with torch.no_grad():
        source[0].weight.normal_(0.3, 0.5)
        source[1].weight.normal_(-0.1, 0.1)
    made, tensors = plan("tlv", source, target, linear_statistics=choice)
    means = [float(layer.weight.mean()) for layer in source]
    stds = [float(layer.weight.std()) for layer in source]
    drawn = tensors["0.weight"]
    assert float(drawn.mean()) == pytest.approx(sum(means) / 2 / divisor, abs=0.01)
    assert float(drawn.std()) == pytest.approx(sum(stds) / 2 / divisor, rel=0.02)
    assert float(tensors["0.bias"].abs().max()) == 0.0
    assert [row.transferred for row in made.rows] == [0.0, 0.0, 0.0]
    assert not torch.equal(drawn[:3, :400], tensors["1.weight"])


def test_no_linear_layer_in_the_source_is_said(plan: Planner) -> None:
    source, target = nn.Sequential(nn.Conv2d(3, 4, 3)), plain_net()
    made, tensors = plan("tlv", source, target)
    assert "no linear layer" in made.warnings[0]
    assert torch.equal(tensors["8.weight"], target.state_dict()["8.weight"])
    off, _ = plan("tlv", source, target, linear_statistics="off")
    assert off.warnings == ()

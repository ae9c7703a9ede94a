"""The mappings of DPIAT on single layers, index by index."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.methods.conftest import Planner
from tlvcli.core.plan import OWN, TransferPlan
from tlvcli.methods.mapping.index_maps import centred
from tlvcli.methods.table import MAPPINGS


def _layer(source: nn.Module, target: nn.Module, plan: Planner, **choices: str) -> tuple[TransferPlan, dict]:
    return plan("dpiat", nn.Sequential(source), nn.Sequential(target), matching={"method": "index"}, **choices)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(0)


def test_centres() -> None:
    wider = centred(64, 96)
    assert (wider >= 0).nonzero().flatten().tolist() == list(range(16, 80))
    assert wider[16:80].tolist() == list(range(64))
    assert centred(3, 7).tolist() == [OWN, OWN, 0, 1, 2, OWN, OWN]
    assert centred(7, 3).tolist() == [2, 3, 4]
    assert centred(5, 2).tolist() == [1, 2]
    assert centred(2, 5).tolist() == [OWN, 0, 1, OWN, OWN]
    assert centred(6, 6) is None


def test_clip_writes_the_centre_of_every_dimension(plan: Planner) -> None:
    source, target = nn.Conv2d(6, 8, 3), nn.Conv2d(4, 12, 5)
    made, tensors = _layer(source, target, plan)
    expected = target.weight.clone()
    expected[2:10, :, 1:4, 1:4] = source.weight[:, 1:5]
    assert torch.equal(tensors["0.weight"], expected)
    assert made.rows[0].transferred == pytest.approx(8 / 12 * 9 / 25)
    bias = target.bias.clone()
    bias[2:10] = source.bias
    assert torch.equal(tensors["0.bias"], bias)
    assert made.rows[1].transferred == pytest.approx(8 / 12)


@pytest.mark.parametrize(
    ("source", "target"),
    [
        (nn.Linear(10, 7), nn.Linear(4, 9)),
        (nn.Conv1d(4, 6, 5), nn.Conv1d(6, 4, 3)),
        (nn.Conv3d(2, 6, (3, 1, 3)), nn.Conv3d(4, 4, (1, 3, 3))),
        (nn.ConvTranspose2d(6, 4, 3), nn.ConvTranspose2d(3, 8, 3)),
    ],
)
def test_clip_takes_any_rank(plan: Planner, source: nn.Module, target: nn.Module) -> None:
    expected, slices = target.weight.detach().clone(), []
    for have, want in zip(source.weight.shape, target.weight.shape, strict=True):
        small = min(have, want)
        slices.append([slice((size - small) // 2, (size - small) // 2 + small) for size in (have, want)])
    expected[tuple(into for _, into in slices)] = source.weight.detach()[tuple(out for out, _ in slices)]
    made, tensors = _layer(source, target, plan)
    assert torch.equal(tensors["0.weight"], expected)
    outputs = slices[1 if isinstance(source, nn.ConvTranspose2d) else 0]
    bias = target.bias.detach().clone()
    bias[outputs[1]] = source.bias.detach()[outputs[0]]
    assert torch.equal(tensors["0.bias"], bias)
    taken = (tensors["0.weight"] != target.weight).double().mean()
    assert made.rows[0].transferred == pytest.approx(float(taken))


def test_full_leaves_nothing_of_the_targets_own(plan: Planner) -> None:
    source, target = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 9, 5)
    made, tensors = _layer(source, target, plan, method="full")
    weight = tensors["0.weight"]
    assert torch.equal(weight[2:6, :, 1:4, 1:4], source.weight)
    assert torch.isin(weight, source.weight).all()
    assert [row.transferred for row in made.rows] == [1.0, 1.0]
    # The bias repeats as the filters do.
    origin = [int((source.weight == kernel).all(dim=(1, 2, 3)).nonzero()) for kernel in weight[:, :, 1:4, 1:4]]
    assert origin[2:6] == [0, 1, 2, 3]
    assert torch.equal(tensors["0.bias"], source.bias[origin])
    again, other = (
        plan("dpiat", nn.Sequential(source), nn.Sequential(target), seed=seed, method="full")[1]["0.weight"]
        for seed in (0, 1)
    )
    assert torch.equal(again, weight)
    assert not torch.equal(other, weight)


def _magnitude_layers() -> tuple[nn.Linear, nn.Linear]:
    source, target = nn.Linear(3, 4), nn.Linear(2, 2)
    source.weight.copy_(torch.tensor([[9.0, 0, -1], [0, 1, 0], [-5, 6, 0], [0, 0, 3.0]]))
    return source, target


@pytest.mark.parametrize(
    ("choices", "rows", "columns"),
    [
        ({}, [0, 2], [0, 1]),  # rows sum to 10 1 11 3; columns of the two largest to 14 6 1
        ({"fan_in": "all"}, [0, 2], [0, 1]),  # columns of all to 14 7 4
        ({"priority": "smallest"}, [1, 3], [0, 1]),  # columns of rows 1 and 3 to 0 1 3
        ({"priority": "smallest", "fan_in": "all"}, [1, 3], [1, 2]),
    ],
)
def test_magnitude_ranks_by_absolute_sums(
    plan: Planner, choices: dict[str, str], rows: list[int], columns: list[int]
) -> None:
    source, target = _magnitude_layers()
    _, tensors = _layer(source, target, plan, method="magnitude", **choices)
    assert torch.equal(tensors["0.weight"], source.weight[rows][:, columns])
    assert torch.equal(tensors["0.bias"], source.bias[rows])


def test_magnitude_puts_a_smaller_source_first(plan: Planner) -> None:
    source, target = nn.Conv2d(2, 3, 3), nn.Conv2d(4, 5, 5)
    made, tensors = _layer(source, target, plan, method="magnitude")
    expected = target.weight.clone()
    expected[:3, :2, 1:4, 1:4] = source.weight
    assert torch.equal(tensors["0.weight"], expected)
    assert made.rows[0].transferred == pytest.approx(3 / 5 * 2 / 4 * 9 / 25)


def test_variance_maps_linear_layers_and_vectors_too(plan: Planner) -> None:
    source, target = nn.Linear(6, 5), nn.Linear(3, 2)
    _, tensors = _layer(source, target, plan, method="variance", keep="max-var")
    rows = source.weight.var(dim=1, correction=0).topk(2).indices.sort().values
    columns = source.weight.var(dim=0, correction=0).topk(3).indices.sort().values
    assert torch.equal(tensors["0.weight"], source.weight[rows][:, columns])
    assert torch.equal(tensors["0.bias"], source.bias[rows])
    large, small = nn.BatchNorm2d(6), nn.BatchNorm2d(2)
    large.weight.copy_(torch.tensor([1.0, -9, 2, 3, 0, -4]))
    _, tensors = _layer(large, small, plan, method="variance", keep="max-var")
    assert tensors["0.weight"].tolist() == [-9, -4]


def test_what_variance_cannot_map_stays(plan: Planner) -> None:
    made, _ = _layer(nn.Conv1d(4, 4, 3), nn.Conv1d(6, 6, 3), plan, method="variance")
    assert [(row.operation, row.transferred) for row in made.rows] == [("keep", 0.0), ("keep", 0.0)]
    copied, _ = _layer(nn.Conv1d(4, 4, 3), nn.Conv1d(4, 4, 3), plan, method="variance")
    assert {row.operation for row in copied.rows} == {"copy"}


@pytest.mark.parametrize("mapping", [entry.name for entry in MAPPINGS])
def test_one_layer_of_one_shape_is_copied(plan: Planner, mapping: str) -> None:
    source, target = (nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)) for _ in range(2))
    source[1].running_var.fill_(7.0)
    source[1].num_batches_tracked.fill_(5)
    made, tensors = plan("dpiat", source, target, method=mapping)
    assert {row.operation for row in made.rows} == {"copy"}
    for name, tensor in source.state_dict().items():
        assert torch.equal(tensors[name], tensor)


@pytest.mark.parametrize("mapping", ["clip", "full", "magnitude", "variance"])
def test_normalisation_and_bias_follow_the_filters(plan: Planner, mapping: str) -> None:
    source = nn.Sequential(nn.Conv2d(3, 9, 3), nn.BatchNorm2d(9))
    target = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    marks = torch.arange(9.0)
    for tensor in (source[0].bias, source[1].weight, source[1].bias, source[1].running_mean, source[1].running_var):
        tensor.copy_(marks)
    _, tensors = plan("dpiat", source, target, method=mapping)
    origin = [int((source[0].weight == kernel).all(dim=(1, 2, 3)).nonzero()) for kernel in tensors["0.weight"]]
    assert len(set(origin)) == 4
    for name in ("0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"):
        assert tensors[name].tolist() == origin

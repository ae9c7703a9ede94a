"""What each target layer is fitted to."""

from __future__ import annotations

import torch

from examples.akamaster_resnet import resnet20, resnet56
from tests.methods.fitting.nets import Residual, seeded, started
from tlvcli.methods.fitting.points import FitPoint, Skipped, find_points
from tlvcli.models.graph import graph_of_module


def _points(
    source: torch.nn.Module, target: torch.nn.Module, method: str = "coherent"
) -> dict[str, FitPoint | Skipped]:
    plan = started(source, target, method)
    return {point.layer: point for point in find_points(plan, graph_of_module(target), graph_of_module(source))}


def test_a_block_is_fitted_to_what_the_next_one_is_to_read_and_chooses_of_all_hidden_channels_before() -> None:
    points = _points(resnet56(), resnet20())
    assert list(points)[:3] == ["conv1", "layer1.0.conv1", "layer1.0.conv2"]
    for stage in (1, 2, 3):
        for block in range(3):
            outer = points[f"layer{stage}.{block}.conv2"]
            assert isinstance(outer, FitPoint)
            assert outer.sources == (f"layer{stage}.{3 * block + 2}.conv2",)
            assert outer.end.is_added and outer.end.activation == "relu"
            inner = points[f"layer{stage}.{block}.conv1"]
            assert isinstance(inner, FitPoint)
            assert inner.reader == f"layer{stage}.{block}.conv2"
            assert inner.sources == tuple(f"layer{stage}.{3 * block + n}.conv1" for n in range(3))
    assert points["linear"].sources == ("linear",)
    assert points["linear"].is_head


def test_index_maps_of_a_narrower_target_say_which_channels() -> None:
    source, target = seeded(Residual, 4, 8), seeded(Residual, 2, 4)
    plan = started(source, target)
    points = find_points(plan, graph_of_module(target), graph_of_module(source))
    outer = next(point for point in points if point.layer == "blocks.0.conv2")
    row = next(row for row in plan.rows if row.tensor == "blocks.0.conv2.weight")
    assert isinstance(outer, FitPoint)
    (feed,) = outer.feeds
    assert feed.end.layer == "blocks.1.conv2"
    assert torch.equal(feed.channels, plan.array(row, "index0"))
    assert torch.equal(feed.outputs, torch.arange(4))


def test_a_layer_without_a_source_says_so() -> None:
    points = _points(seeded(Residual, 1), seeded(Residual, 2))
    assert points["blocks.1.conv1"] == Skipped("blocks.1.conv1", "no layer of the source feeds it")

"""Which rows a mask reaches, and that they keep still."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import get_model

from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.masks import find_rows, held_rows, resolve_masks
from tlvcli.models.graph import graph_of_module

FOLLOWERS = {"bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var"}


def test_rows_take_their_normalisation_along() -> None:
    graph = graph_of_module(get_model("resnet18", num_classes=3))
    masks = resolve_masks(graph, {"conv1.weight": [1, 0, 1] + [0] * 61})
    assert {mask.tensor for mask in masks} == {"conv1.weight", *FOLLOWERS}
    assert {(mask.rows, mask.num_rows) for mask in masks} == {((0, 2), 64)}


def test_a_layer_without_normalisation_takes_its_bias() -> None:
    graph = graph_of_module(get_model("squeezenet1_1", num_classes=3))
    masks = resolve_masks(graph, {"features.0.weight": [1] * 64})
    assert {mask.tensor for mask in masks} == {"features.0.weight", "features.0.bias"}


def test_normalisation_that_the_mask_names_is_its_own() -> None:
    graph = graph_of_module(get_model("resnet18", num_classes=3))
    masks = resolve_masks(graph, {"conv1.weight": [1] + [0] * 63, "bn1.weight": [0, 1] + [0] * 62})
    rows = {mask.tensor: mask.rows for mask in masks}
    assert rows == {"conv1.weight": (0,), **dict.fromkeys(FOLLOWERS, (1,))}


@pytest.mark.parametrize(
    ("masks", "words"),
    [
        ({"features.0.weight": [1] * 64}, "no layer has the weight features.0.weight"),
        ({"conv1.weight": [1] * 32}, "conv1.weight has 64 output channels, its mask 32"),
        ({"conv1.weight": [2] * 64}, "values other than 0 and 1"),
        ({f"a{k}.weight": [1] for k in range(5)}, "and 2 more"),
    ],
)
def test_masks_of_another_network(masks: dict[str, list[int]], words: str) -> None:
    with pytest.raises(TlvError, match=words) as caught:
        resolve_masks(graph_of_module(get_model("resnet18", num_classes=3)), masks)
    assert caught.value.error_id == "mask-mismatch"


@pytest.mark.parametrize("scale", [0.0, 0.25])
def test_rows_take_their_share_of_the_change(scale: float) -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    masks = resolve_masks(graph_of_module(module), {"0.weight": [0, 1, 0, 1]})
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with held_rows(find_rows(module, masks), scale):
        for tensor in module.state_dict().values():
            tensor.add_(1)
    for name, tensor in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        moved = tensor - before[name]
        assert torch.equal(moved[[0, 2]].round(), torch.ones_like(moved[[0, 2]])), name
        if scale == 0:
            assert torch.equal(tensor[[1, 3]], before[name][[1, 3]]), name
        else:
            torch.testing.assert_close(moved[[1, 3]], torch.full_like(moved[[1, 3]], scale))

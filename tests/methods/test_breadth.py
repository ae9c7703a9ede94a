"""Every ordered pair of twenty networks, and a few of timm's: a plan that is whole, tells the truth, and loads."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import permutations

import pytest
import torch
from torch import nn
from torch.func import functional_call

from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.execute import execute
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import MATCHINGS, find_method
from tlvcli.models.builders import build
from tlvcli.models.graph import graph_of_module

ARCHITECTURES = (
    *("resnet18", "resnet50", "wide_resnet50_2", "resnext50_32x4d", "vgg11_bn", "vgg16", "alexnet"),
    *("squeezenet1_1", "densenet121", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_large"),
    *("shufflenet_v2_x1_0", "efficientnet_b0", "mnasnet1_0", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t"),
)
# Source, target, coverage in percent of tlv and of dpiat; they are told in docs/coverage.md.
TELLING = (
    ("resnet18", "convnext_tiny", 2.4, 1.8),
    ("convnext_tiny", "resnet18", 35.6, 4.4),
    ("mobilenet_v2", "efficientnet_b0", 35.2, 71.0),
    ("efficientnet_b0", "squeezenet1_1", 16.2, 32.8),
    ("squeezenet1_1", "mobilenet_v3_large", 10.0, 10.1),
    ("densenet121", "shufflenet_v2_x1_0", 15.4, 78.5),
    ("shufflenet_v2_x1_0", "googlenet", 6.0, 11.5),
    ("googlenet", "inception_v3", 11.6, 24.7),
    ("regnet_y_400mf", "mnasnet1_0", 16.5, 34.5),
    ("mnasnet1_0", "densenet121", 21.8, 49.8),
    ("swin_t", "regnet_y_400mf", 1.4, 10.7),
    ("resnet18", "vit_b_16", 0.0, 0.6),
)
FROM_TIMM = ("timm:convnext_atto", "timm:vit_tiny_patch16_224", "timm:efficientnet_lite0")
DRAWN_OR_KEPT = ("normal", "constant", "keep")


@cache
def network(name: str, seed: int) -> tuple[nn.Module, ModelGraph, dict[str, torch.Tensor]]:
    """Return the network in evaluation mode, its graph, and its tensors."""
    module = build(Architecture(name=name, num_classes=1000), seed=seed).eval()
    return module, graph_of_module(module), dict(module.state_dict())


@pytest.fixture(scope="module", autouse=True)
def _forget_networks() -> Iterator[None]:
    """Keep these gigabytes no longer than they are wanted."""
    yield
    network.cache_clear()


@cache
def image(size: int) -> torch.Tensor:
    return torch.randn(1, 3, size, size, generator=torch.Generator().manual_seed(0))


def transfer(
    source: str, target: str, method: str, matching: str | None = None
) -> tuple[TransferPlan, dict[str, torch.Tensor]]:
    _, source_graph, source_state = network(source, 0)
    _, target_graph, target_state = network(target, 1)
    tensors = TensorsInMemory(source_state)
    recipe = make_recipe(find_method(method), {"method": matching} if matching else {}, {})
    plan = recipe.plan(tensors, source_graph, target_state, target_graph, seed=0)
    return plan, dict(execute(plan, tensors, target_state))


def check_pair(source: str, target: str, method: str, matching: str | None = None) -> TransferPlan:
    """Transfer, and hold the plan against what it made."""
    plan, made = transfer(source, target, method, matching)
    module, graph, own = network(target, 1)
    _, source_graph, _ = network(source, 0)
    known = {tensor.name: tensor for tensor in source_graph.tensors()}
    kinds, source_kinds = (
        {tensor.name: layer.kind for layer in each.layers for tensor in layer.tensors} for each in (graph, source_graph)
    )
    assert [row.tensor for row in plan.rows] == list(own) == list(made)
    for row in plan.rows:
        assert row.reason
        assert 0.0 <= row.transferred <= 1.0
        assert (row.source is not None) == (row.transferred > 0.0)
        # Depthwise takes from depthwise, batch normalisation from batch normalisation, and so on.
        assert row.source is None or source_kinds[row.source] == kinds[row.tensor]
        assert row.transferred == 0.0 or row.operation not in DRAWN_OR_KEPT
        assert row.operation != "keep" or torch.equal(made[row.tensor], own[row.tensor])
        if row.operation == "copy":
            assert row.source is not None
            assert known[row.source].shape == row.shape
    assert 0.0 <= plan.coverage(graph) <= 1.0
    assert {name: tensor.shape for name, tensor in own.items()} == {name: made[name].shape for name in made}
    with torch.inference_mode():
        output = functional_call(module, made, image(299 if "inception" in target else 224))
    assert output.shape == (1, 1000)
    assert torch.isfinite(output).all()
    return plan


@pytest.mark.parametrize("method", ["tlv", "dpiat"])
@pytest.mark.parametrize(("source", "target", "tlv", "dpiat"), TELLING)
def test_telling_pairs(source: str, target: str, tlv: float, dpiat: float, method: str) -> None:
    plan = check_pair(source, target, method)
    expected = {"tlv": tlv, "dpiat": dpiat}[method]
    assert 100 * plan.coverage(network(target, 1)[1]) == pytest.approx(expected, abs=0.1)


def test_what_a_vit_takes_from_a_resnet() -> None:
    plan, _ = transfer("resnet18", "vit_b_16", "tlv")
    rows = {row.tensor: row for row in plan.rows}
    layer = "encoder.layers.encoder_layer_0"
    assert [row.tensor for row in plan.rows if row.source] == ["conv_proj.weight"]
    assert rows["conv_proj.weight"].transferred == pytest.approx(64 / 768 * 7 * 7 / 16 / 16)
    assert rows["conv_proj.weight"].reason.endswith("64x3x7x7 -> 768x3x16x16; kernel amid zeros")
    drawn = ("self_attention.in_proj_weight", "self_attention.out_proj.weight", "mlp.0.weight", "mlp.3.weight")
    assert {rows[f"{layer}.{name}"].operation for name in drawn} == {"normal"}
    kept = ("class_token", "encoder.pos_embedding", f"{layer}.ln_1.weight")
    assert {rows[name].operation for name in kept} == {"keep"}
    heads = [row for row in transfer("resnet18", "vit_b_16", "dpiat")[0].rows if row.source]
    assert [row.tensor for row in heads] == ["conv_proj.weight", "heads.head.weight", "heads.head.bias"]


def test_a_source_of_one_convolution_says_so() -> None:
    plan, _ = transfer("vit_b_16", "resnet18", "tlv")
    assert plan.warnings == ("conv_proj feeds 20 target layers: coverage counts its values in each of them",)


@pytest.mark.parametrize("method", ["tlv", "dpiat"])
@pytest.mark.parametrize("target", FROM_TIMM)
def test_timm(target: str, method: str) -> None:
    pytest.importorskip("timm")
    assert check_pair("resnet18", target, method).coverage(network(target, 1)[1]) > 0


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tlv", "dpiat"])
def test_timm_inception_v4(method: str) -> None:
    pytest.importorskip("timm")
    check_pair("resnet18", "timm:inception_v4", method)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["tlv", "dpiat"])
@pytest.mark.parametrize(("source", "target"), list(permutations(ARCHITECTURES, 2)))
def test_every_pair(source: str, target: str, method: str) -> None:
    check_pair(source, target, method)


@pytest.mark.slow
@pytest.mark.parametrize("matching", [part.name for part in MATCHINGS])
@pytest.mark.parametrize(("source", "target"), [pair[:2] for pair in TELLING])
def test_every_matching(source: str, target: str, matching: str) -> None:
    for method in ("tlv", "dpiat"):
        check_pair(source, target, method, matching)

"""coherent between real networks: a plan that is whole, tells the truth, and loads."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from torch.func import functional_call

from tests.methods.test_breadth import ARCHITECTURES, FROM_TIMM, image, network, transfer
from tlvcli.core.plan import TransferPlan

# Source, target, coverage in percent.
TELLING = (
    ("squeezenet1_1", "resnet18", 40.4),
    ("mobilenet_v2", "squeezenet1_1", 49.9),
    pytest.param("resnet18", "mobilenet_v2", 9.1, marks=pytest.mark.slow),
    pytest.param("densenet121", "squeezenet1_1", 49.9, marks=pytest.mark.slow),
    pytest.param("shufflenet_v2_x1_0", "mnasnet1_0", 1.6, marks=pytest.mark.slow),
)


def check_pair(source: str, target: str) -> TransferPlan:
    """Transfer, and hold the plan against what it made."""
    plan, made = transfer(source, target, "coherent")
    module, graph, own = network(target, 1)
    known = {tensor.name: tensor.shape for tensor in network(source, 0)[1].tensors()}
    assert [row.tensor for row in plan.rows] == list(own) == list(made)
    for row in plan.rows:
        assert row.reason
        assert 0.0 <= row.transferred <= 1.0
        assert (row.source is not None) == (row.transferred > 0.0)
        assert set(row.sources()) <= set(known)
        assert row.operation != "keep" or torch.equal(made[row.tensor], own[row.tensor])
        assert row.operation != "copy" or known[row.source or ""] == row.shape
    assert {name: tensor.shape for name, tensor in own.items()} == {name: made[name].shape for name in made}
    with torch.inference_mode():
        output = functional_call(module, made, image(299 if "inception" in target else 224))
    assert output.shape == (1, 1000)
    assert torch.isfinite(output).all()
    assert set(plan.recommended_rates) <= {layer.name for layer in graph.layers}
    return plan


@pytest.mark.parametrize(("source", "target", "coverage"), TELLING)
def test_telling_pairs(source: str, target: str, coverage: float) -> None:
    plan = check_pair(source, target)
    assert 100 * plan.coverage(network(target, 1)[1]) == pytest.approx(coverage, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("target", FROM_TIMM)
def test_timm(target: str) -> None:
    pytest.importorskip("timm")
    assert check_pair("resnet18", target).coverage(network(target, 1)[1]) > 0


@pytest.mark.slow
@pytest.mark.parametrize(("source", "target"), list(permutations(ARCHITECTURES, 2)))
def test_every_pair(source: str, target: str) -> None:
    check_pair(source, target)

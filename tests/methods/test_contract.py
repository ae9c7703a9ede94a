"""What every transfer method owes, whatever it does: one row a tensor, and nothing but its result changes."""

from __future__ import annotations

import pytest
import torch

from tests.methods.conftest import Planner, odd_net, plain_net
from tlvcli.methods.table import TRANSFER_METHODS, find_method
from tlvcli.models.graph import graph_of_module

METHODS = [method.name for method in TRANSFER_METHODS]


def _pair(method: str) -> tuple[torch.nn.Module, torch.nn.Module]:
    if method in ("weight-selection", "net2net"):  # they stay within a family, and change the size one way
        small, large = plain_net((6, 8), seed=3), plain_net((8, 20))
        return (large, small) if method == "weight-selection" else (small, large)
    # The authors' code has no answer for asymmetric kernels or linear layers without bias.
    return plain_net(), plain_net((6, 20), seed=3) if method == "tlv-reference" else odd_net()


@pytest.mark.parametrize("method", METHODS)
def test_every_tensor_has_one_row_and_keeps_shape_and_dtype(plan: Planner, method: str) -> None:
    source, target = _pair(method)
    made, tensors = plan(method, source, target)
    state = target.state_dict()
    assert [row.tensor for row in made.rows] == list(state) == list(tensors)
    for row in made.rows:
        out, own = tensors[row.tensor], state[row.tensor]
        assert (out.shape, out.dtype, row.shape) == (own.shape, own.dtype, tuple(own.shape))
        assert torch.isfinite(out.float()).all()
        assert row.reason
        assert 0.0 <= row.transferred <= 1.0
        assert (row.source is None) <= (row.transferred == 0.0)
    assert 0.0 <= made.coverage(graph_of_module(target)) <= 1.0


@pytest.mark.parametrize("method", METHODS)
def test_inputs_and_the_global_generator_are_untouched(plan: Planner, method: str) -> None:
    source, target = _pair(method)
    before = {
        name: tensor.clone() for net in (source, target) for name, tensor in net.state_dict(prefix=str(id(net))).items()
    }
    state = torch.get_rng_state()
    plan(method, source, target)
    assert torch.equal(torch.get_rng_state(), state)
    for net in (source, target):
        for name, tensor in net.state_dict(prefix=str(id(net))).items():
            assert torch.equal(before[name], tensor)


@pytest.mark.parametrize("method", METHODS)
def test_one_seed_one_result(plan: Planner, method: str) -> None:
    source, target = _pair(method)
    first, again, other = (plan(method, source, target, seed=seed)[1] for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    if method not in ("he", "dpiat", "dpiat-reference", "weight-selection"):  # they draw nothing
        assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("method", METHODS)
def test_plain_pytorch_loads_the_result(plan: Planner, method: str) -> None:
    source, target = _pair(method)
    target.load_state_dict(plan(method, source, target)[1], strict=True)
    target.eval()
    assert torch.isfinite(target(torch.randn(2, 3, 16, 16))).all()


def test_he_keeps_everything(plan: Planner) -> None:
    source, target = _pair("he")
    made, tensors = plan("he", source, target)
    assert made.coverage(graph_of_module(target)) == 0.0
    assert all(torch.equal(tensors[name], own) for name, own in target.state_dict().items())


def test_the_table_loads() -> None:
    for name in METHODS:
        method = find_method(name)
        assert callable(method.load_planner())
        assert method.load_options()()
        assert method.summary
        assert method.reference

"""Feature crossover: its arithmetic, its gradients, and that it leaves everything else alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn

from tlvcli.core.runtime import make_generator
from tlvcli.methods.finetuning.crossover import cross, crossing
from tlvcli.models.pooled_features import ClassifierInput, Form, pooled_features

POOLED = ClassifierInput("2", 6, "pooled")


@pytest.fixture(autouse=True)
def _gradients() -> Iterator[None]:
    with torch.enable_grad():
        yield


@pytest.fixture
def target() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2))


def constant(value: float, num_features: int = 6) -> Any:
    return lambda images: torch.full((len(images), num_features), value)


def classifier_inputs(module: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The network's output, and what its classifier was given after all hooks."""
    given: list[Tensor] = []
    handle = module.get_submodule("2").register_forward_hook(lambda _module, args, _output: given.append(args[0]))
    outputs = module(images)
    handle.remove()
    return outputs, given[0]


def test_masked_features_are_the_source_s_and_the_others_the_target_s(target: nn.Sequential) -> None:
    images = torch.randn(4, 3, generator=make_generator(0))
    source = torch.randn(4, 6, generator=make_generator(1))
    own = target[:2](images)
    with crossing(target, POOLED, lambda _images: source, 0.5, make_generator(2)):
        _, given = classifier_inputs(target, images)
    mask = torch.rand(6, generator=make_generator(2)) < 0.5
    assert 0 < mask.sum() < 6
    for feature in range(6):
        expected = source if mask[feature] else own
        assert torch.equal(given[:, feature], expected[:, feature])


def test_each_feature_crosses_with_probability_p(target: nn.Sequential) -> None:
    generator, draws = make_generator(0), 3000
    images = torch.zeros(2, 3)
    crossed = torch.zeros(draws, 6)
    for draw in range(draws):
        with torch.no_grad(), crossing(target, POOLED, constant(9.0), 0.1, generator):
            given = classifier_inputs(target, images)[1] == 9.0
        assert torch.equal(given[0], given[1])  # one mask for the batch
        crossed[draw] = given[0]
    # Five standard deviations of a binomial share; features are drawn independently, so counts vary as binomials do.
    torch.testing.assert_close(crossed.mean(0), torch.full((6,), 0.1), rtol=0, atol=5 * (0.09 / draws) ** 0.5)
    torch.testing.assert_close(crossed.sum(1).var(), torch.tensor(6 * 0.09), rtol=0.15, atol=0)


def test_crossed_features_send_no_gradient_down_and_none_reaches_the_source(target: nn.Sequential) -> None:
    source = nn.Linear(3, 6)
    images = torch.randn(4, 3, generator=make_generator(0))
    with crossing(target, POOLED, source, 0.5, make_generator(2)):
        outputs = target(images)
    outputs.square().sum().backward()
    mask = torch.rand(6, generator=make_generator(2)) < 0.5
    gradient = cast(nn.Linear, target[0]).weight.grad
    assert gradient is not None
    assert (gradient[mask] == 0).all()
    assert (gradient[~mask].abs().sum(1) > 0).all()
    classifier = cast(nn.Linear, target[2]).weight.grad
    assert classifier is not None
    assert (classifier.abs().sum(0) > 0).all()  # the classifier learns from crossed features too
    assert source.weight.grad is None
    assert source.bias.grad is None


def test_nothing_changes_in_evaluation_or_afterwards(target: nn.Sequential) -> None:
    images = torch.randn(4, 3, generator=make_generator(0))
    plain = target(images)

    def must_not_run(_images: Tensor) -> Tensor:
        raise AssertionError("the source is not needed in evaluation")

    with crossing(target.eval(), POOLED, must_not_run, 0.9, make_generator(0)):
        assert torch.equal(target(images), plain)
    target.train()
    with crossing(target, POOLED, constant(9.0), 0.9, make_generator(0)):
        assert not torch.equal(target(images), plain)
    assert torch.equal(target(images), plain)


def test_a_network_without_pooled_vector_gives_every_place_the_source_s_number() -> None:
    cases: list[tuple[Form, tuple[int, ...], int]] = [
        ("map", (2, 6, 2, 3), 1),
        ("flat-map", (2, 36), 1),
        ("tokens", (2, 5, 6), 2),
    ]
    source = torch.randn(2, 6, generator=make_generator(1))
    mask = torch.tensor([True, False, True, False, False, True])
    for form, shape, axis in cases:
        inputs = torch.randn(shape, generator=make_generator(0))
        before = inputs.clone()
        crossed = cross(inputs, source, mask, ClassifierInput("x", 6, form))
        assert crossed.shape == inputs.shape
        assert torch.equal(inputs, before)
        if form == "flat-map":
            inputs, crossed = inputs.reshape(2, 6, 2, 3), crossed.reshape(2, 6, 2, 3)
        for feature in range(6):
            got, own = crossed.select(axis, feature), inputs.select(axis, feature)
            expected = source[:, feature].reshape(2, *[1] * (own.ndim - 1)).expand_as(own) if mask[feature] else own
            assert torch.equal(got, expected)


@pytest.mark.parametrize("width", [4, 9])
def test_networks_of_different_width_share_their_first_features(width: int) -> None:
    inputs, source = torch.zeros(2, 6), torch.ones(2, width)
    crossed = cross(inputs, source, torch.ones(6, dtype=torch.bool), POOLED)
    assert crossed.tolist() == [[1.0] * min(width, 6) + [0.0] * max(6 - width, 0)] * 2


def test_a_frozen_source_keeps_its_buffers(target: nn.Sequential) -> None:
    source = nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 2)).eval()
    state = {name: tensor.clone() for name, tensor in source.state_dict().items()}
    where = ClassifierInput("2", 5, "pooled")
    with crossing(target, POOLED, lambda images: pooled_features(source, where, images), 0.5, make_generator(0)):
        target(torch.randn(4, 3)).sum().backward()
    assert all(torch.equal(tensor, state[name]) for name, tensor in source.state_dict().items())
    assert all(parameter.grad is None for parameter in source.parameters())

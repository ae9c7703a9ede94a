"""Normal equations against numpy on all samples at once."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlvcli.core.runtime import make_generator
from tlvcli.methods.fitting.hidden import choose_hidden
from tlvcli.methods.fitting.normal import (
    RIDGES,
    Moments,
    add_samples,
    choose_ridge,
    equations,
    squared_error,
)


def _samples(num_samples: int = 200, num_inputs: int = 6, num_outputs: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = make_generator(0, "samples")
    inputs = torch.randn(num_samples, num_inputs, generator=generator, dtype=torch.float64) + 0.5
    mixed = torch.randn(num_inputs, num_outputs, generator=generator, dtype=torch.float64)
    noise = torch.randn(num_samples, num_outputs, generator=generator, dtype=torch.float64)
    return inputs, inputs @ mixed + 0.3 * noise + 2.0


def _moments(inputs: torch.Tensor, outputs: torch.Tensor) -> Moments:
    with_one = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    return add_samples(None, with_one.T[None], outputs[None])


def _streamed(inputs: torch.Tensor, outputs: torch.Tensor, num_batches: int) -> Moments:
    with_one = torch.cat([inputs, torch.ones_like(inputs[:, :1])], 1)
    sums = None
    for some, wanted in zip(with_one.chunk(num_batches), outputs.chunk(num_batches), strict=True):
        sums = add_samples(sums, some.T[None], wanted[None])
    assert sums is not None
    return sums


def _ridge_by_numpy(inputs: torch.Tensor, outputs: torch.Tensor, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    x, y = inputs.numpy(), outputs.numpy()
    centred, wanted = x - x.mean(0), y - y.mean(0)
    penalty = np.sqrt(ridge * centred.var(0).mean() * len(x)) * np.eye(x.shape[1])
    rows = np.concatenate([centred, penalty])
    weights = np.linalg.lstsq(rows, np.concatenate([wanted, np.zeros((x.shape[1], y.shape[1]))]), rcond=None)[0]
    return weights, y.mean(0) - x.mean(0) @ weights


@pytest.mark.parametrize("ridge", [1e-3, 0.5])
def test_streamed_sums_solve_what_numpy_solves_on_all_samples(ridge: float) -> None:
    inputs, outputs = _samples()
    moments = _streamed(inputs, outputs, 7)
    weights = equations(moments, ridge, intercept=True).solve(moments.cross)[0].numpy()
    expected, intercept = _ridge_by_numpy(inputs, outputs, ridge)
    np.testing.assert_allclose(weights[:-1], expected, rtol=1e-6)
    np.testing.assert_allclose(weights[-1], intercept, rtol=1e-6)


def test_without_intercept_the_line_goes_through_the_origin() -> None:
    inputs, outputs = _samples()
    moments = _moments(inputs, outputs)
    weights = equations(moments, 0.0, intercept=False).solve(moments.cross)[0].numpy()
    expected = np.linalg.lstsq(inputs.numpy(), outputs.numpy(), rcond=None)[0]
    np.testing.assert_allclose(weights[:-1], expected, rtol=1e-6)
    np.testing.assert_allclose(weights[-1], 0, atol=1e-9)


def test_the_squared_error_needs_no_samples() -> None:
    inputs, outputs = _samples()
    weights = torch.randn(1, 7, 3, generator=make_generator(1, "weights"), dtype=torch.float64)
    expected = (inputs @ weights[0, :-1] + weights[0, -1] - outputs).square().sum(0)
    torch.testing.assert_close(squared_error(_moments(inputs, outputs), weights)[0], expected)


def test_the_penalty_is_the_one_that_predicts_the_other_half_best() -> None:
    inputs, outputs = _samples(num_samples=16, num_inputs=12)
    halves = [(inputs[::2], outputs[::2]), (inputs[1::2], outputs[1::2])]

    def unseen_error(ridge: float) -> float:
        total = 0.0
        for (x, y), (new_x, new_y) in (halves, halves[::-1]):
            weights, intercept = _ridge_by_numpy(x, y, ridge)
            total += float(((new_x.numpy() @ weights + intercept - new_y.numpy()) ** 2).sum())
        return total

    moments = _moments(*halves[0]), _moments(*halves[1])
    assert choose_ridge(moments, intercept=True) == min(RIDGES, key=unseen_error) / 2


def test_constant_and_repeated_inputs_get_a_solution() -> None:
    inputs, outputs = _samples()
    inputs[:, 1], inputs[:, 2] = 0.0, inputs[:, 3]
    moments = _moments(inputs, outputs)
    weights = equations(moments, 1e-4, intercept=True).solve(moments.cross)[0]
    assert weights.isfinite().all()
    torch.testing.assert_close(weights[2], weights[3])
    assert float(weights[1].abs().max()) < 1e-6


def test_inputs_that_all_are_constant_give_the_mean() -> None:
    outputs = _samples()[1]
    moments = _moments(torch.zeros(200, 6, dtype=torch.float64), outputs)
    weights = equations(moments, 1e-3, intercept=True).solve(moments.cross)[0]
    torch.testing.assert_close(weights[-1], outputs.mean(0))
    assert float(weights[:-1].abs().max()) == 0


def test_inputs_that_vary_less_than_single_precision_tells_raise_the_penalty() -> None:
    generator = make_generator(0, "hardly")
    inputs = 1e3 + 1e-2 * torch.randn(5000, 6, generator=generator)
    outputs = torch.randn(5000, 2, generator=generator) + 4
    with_one = torch.cat([inputs, torch.ones(5000, 1)], 1)
    moments = add_samples(None, with_one.T[None], outputs[None])
    found = equations(moments, 1e-9, intercept=True)
    assert found.is_raised
    weights = found.solve(moments.cross)[0]
    given = inputs.double() @ weights[:-1] + weights[-1]
    assert float((given - outputs.mean(0)).abs().max()) < 0.2
    assert not equations(_moments(*_samples()), 1e-9, intercept=True).is_raised


def test_channels_that_explain_nothing_are_the_first_to_go() -> None:
    generator = make_generator(0, "channels")
    inputs = torch.randn(500, 10 * 4, generator=generator, dtype=torch.float64)
    needed = torch.tensor([1, 4, 8])
    taps = (needed[:, None] * 4 + torch.arange(4)).flatten()
    outputs = inputs[:, taps] @ torch.randn(12, 5, generator=generator, dtype=torch.float64)
    moments = _moments(inputs, outputs)
    assert torch.equal(choose_hidden(moments, 4, 3, 1e-6), needed)


def test_the_channel_that_goes_last_is_the_one_whose_loss_is_least() -> None:
    inputs, outputs = _samples(num_samples=60, num_inputs=8)
    moments = _moments(inputs, outputs)

    def error_without(channel: int) -> float:
        rest = [column for column in range(8) if column // 2 != channel]
        weights, intercept = _ridge_by_numpy(inputs[:, rest], outputs, 1e-9)
        return float(((inputs[:, rest].numpy() @ weights + intercept - outputs.numpy()) ** 2).sum())

    stay = choose_hidden(moments, 2, 3, 1e-9).tolist()
    assert [channel for channel in range(4) if channel not in stay] == [min(range(4), key=error_without)]

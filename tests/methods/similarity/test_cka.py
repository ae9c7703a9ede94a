"""Unbiased CKA against the published formula in plain numpy, its limits, and its bias."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.methods.similarity.cka import (
    Hsic,
    centre_grams,
    gram_matrix,
    hsic_of_batch,
    refuse_not_finite,
    similarity,
)


def _random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def _batch(one: list[torch.Tensor], other: list[torch.Tensor]) -> Hsic:
    return hsic_of_batch(centre_grams([gram_matrix(x) for x in one]), centre_grams([gram_matrix(y) for y in other]))


def _published_hsic(x: torch.Tensor, y: torch.Tensor) -> float:
    n = len(x)
    k, ell = ((part.flatten(1).double() @ part.flatten(1).double().T).numpy() for part in (x, y))
    np.fill_diagonal(k, 0)
    np.fill_diagonal(ell, 0)
    ones = np.ones(n)
    middle = (ones @ k @ ones) * (ones @ ell @ ones) / ((n - 1) * (n - 2))
    return (np.trace(k @ ell) + middle - 2 / (n - 2) * (ones @ k @ ell @ ones)) / (n * (n - 3))


@pytest.mark.parametrize("sizes", [(16,), (9, 4, 12)])
def test_against_the_published_formula(sizes: tuple[int, ...]) -> None:
    one = [[_random(n, 7, seed=n), _random(n, 3, 2, 2, seed=n + 1)] for n in sizes]
    other = [
        [x[0] @ _random(7, 5), _random(n, 6, seed=n + 2) + 3, x[1].relu()] for n, x in zip(sizes, one, strict=True)
    ]
    sums = [_batch(x, y) for x, y in zip(one, other, strict=True)]
    total = sums[0]
    for more in sums[1:]:
        total = total + more
    found = similarity(total)
    assert found.shape == (2, 3)
    for i in range(2):
        for j in range(3):
            own = sum(_published_hsic(x[i], x[i]) for x in one)
            others = sum(_published_hsic(y[j], y[j]) for y in other)
            pair = sum(_published_hsic(x[i], y[j]) for x, y in zip(one, other, strict=True))
            assert found[i, j].item() == pytest.approx(pair / np.sqrt(own * others), abs=1e-6)


def test_features_equal_up_to_rotation_scale_and_shift_are_alike() -> None:
    features = _random(20, 30)
    rotation = torch.linalg.qr(_random(30, 30, seed=1)).Q
    sums = _batch([features], [features, 5 * features @ rotation + 100])
    assert similarity(sums)[0].tolist() == pytest.approx([1, 1], abs=1e-6)


def test_independent_features_are_not_alike_where_the_biased_estimate_says_so() -> None:
    found, biased = [], []
    for seed in range(20):
        one, other = _random(32, 8, seed=seed), _random(32, 8, seed=seed + 1000)
        found.append(similarity(_batch([one], [other])).item())
        x, y = one - one.mean(dim=0), other - other.mean(dim=0)
        biased.append(((y.T @ x).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())).item())
    assert abs(float(np.mean(found))) < 0.02
    assert float(np.mean(biased)) > 0.15


def test_a_large_mean_hides_nothing_in_single_precision() -> None:
    features = _random(16, 50)
    sums = _batch([features], [features + 1e4])
    assert similarity(sums).item() == pytest.approx(1, abs=1e-4)


def test_half_precision_does_not_overflow() -> None:
    features = (_random(8, 64) * 100).half()
    assert similarity(_batch([features], [features.float()])).item() == pytest.approx(1, abs=1e-6)


def test_a_constant_layer_has_no_likeness() -> None:
    found = similarity(_batch([torch.ones(6, 4), _random(6, 4)], [_random(6, 4)]))
    assert found.isnan().flatten().tolist() == [True, False]
    assert found[1].item() == pytest.approx(1, abs=1e-6)


def test_nan_activations_are_refused_by_name() -> None:
    broken = _random(6, 4)
    broken[2, 1] = float("nan")
    sums = _batch([_random(6, 4), broken], [_random(6, 4)])
    with pytest.raises(TlvError, match=r"net: NaN or infinite activations in layer2(\n|$)") as raised:
        refuse_not_finite(sums.own, ["layer1", "layer2"], "net")
    assert raised.value.error_id == "activations-not-finite"


def test_inputs_are_untouched() -> None:
    gram = gram_matrix(_random(6, 4))
    before = gram.clone()
    centre_grams([gram])
    assert torch.equal(gram, before)

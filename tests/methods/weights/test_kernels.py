"""Kernels of a layer against numpy's own decomposition, and plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.weights.kernels import Kernels, kernels_of_layers


def _kernels(weight: torch.Tensor) -> Kernels:
    (found,) = kernels_of_layers(TensorsInMemory({"conv.weight": weight, "conv.bias": torch.ones(9)}), ["conv"])
    return found


def _random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("shape", [(8, 3, 3, 3), (40, 2, 3, 3), (6, 6), (5, 1, 3, 3)])
def test_figures_against_a_full_decomposition(shape: tuple[int, ...]) -> None:
    found = _kernels(_random(*shape))
    rows = _random(*shape).flatten(1).double().numpy()
    values = np.linalg.svd(rows, compute_uv=False)
    shares = values / values.sum()
    np.testing.assert_allclose(found.singular_values, values, rtol=1e-7)
    assert found.spectral_norm == pytest.approx(np.linalg.norm(rows, 2))
    assert found.stable_rank == pytest.approx(np.linalg.norm(rows) ** 2 / np.linalg.norm(rows, 2) ** 2)
    assert found.effective_rank == pytest.approx(np.exp(-sum(share * np.log(share) for share in shares)))
    for index, row in enumerate(rows):
        deviations = [(value - row.mean()) ** 2 for value in row]
        assert found.variance[index] == pytest.approx(sum(deviations) / len(row))
        assert found.l1[index] == pytest.approx(np.linalg.norm(row, 1))
        assert found.l2[index] == pytest.approx(np.linalg.norm(row, 2))


@pytest.mark.parametrize("shape", [(3, 400_000), (400_000, 3)])
def test_large_weights_are_read_in_pieces(shape: tuple[int, int]) -> None:
    found = _kernels(_random(*shape))
    rows = _random(*shape).double().numpy()
    np.testing.assert_allclose(found.singular_values, np.linalg.svd(rows, compute_uv=False), rtol=1e-9)
    np.testing.assert_allclose(found.variance, rows.var(axis=1), rtol=1e-9)


def test_effective_rank_counts_equal_directions() -> None:
    found = _kernels(torch.diag(torch.tensor([2.0, 2.0, 2.0, 0.0])))
    assert found.effective_rank == pytest.approx(3)
    assert found.stable_rank == pytest.approx(3)


def test_rounding_is_no_direction() -> None:
    outer = torch.outer(_random(30), _random(50))  # of rank 1 up to float32
    assert _kernels(outer.double()).effective_rank == pytest.approx(1, abs=1e-6)


def test_copies_name_the_first_and_zeros_are_none() -> None:
    weight = _random(7, 2, 3, 3)
    weight[3] = weight[1]
    weight[5] = weight[1]
    weight[6, 0] = weight[1, 0]  # begins as the first kernel does, and goes on otherwise
    weight[[0, 2]] = 0
    found = _kernels(weight)
    assert found.copy_of.tolist() == [-1, -1, -1, 1, -1, 1, -1]
    assert found.statistics.dead == (0, 2)


def test_half_precision_is_read_as_it_is() -> None:
    weight = _random(4, 2, 3, 3).bfloat16()
    found = _kernels(weight)
    np.testing.assert_allclose(found.variance, weight.double().flatten(1).var(dim=1, correction=0).numpy(), rtol=1e-12)


def test_zeros_and_values_that_are_not_finite_have_no_rank() -> None:
    zeros = _kernels(torch.zeros(3, 4))
    assert (zeros.spectral_norm, zeros.stable_rank, zeros.effective_rank) == (0.0, None, None)
    broken = _random(3, 4)
    broken[1, 2] = float("nan")
    found = _kernels(broken)
    assert (found.spectral_norm, found.effective_rank) == (None, None)
    assert np.isnan(found.variance).tolist() == [False, True, False]


def test_only_the_named_layers_with_kernels() -> None:
    tensors = {"a.weight": _random(3, 4), "bn.weight": _random(3), "b.weight": _random(3, 4), "b.scale": _random(3)}
    source = TensorsInMemory(tensors)
    assert [one.layer.name for one in kernels_of_layers(source, {"a", "bn", "b"})] == ["a", "b"]
    assert [one.layer.name for one in kernels_of_layers(source, {"b"})] == ["b"]

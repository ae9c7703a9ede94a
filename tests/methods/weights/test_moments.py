import numpy as np
import pytest
import torch

from tlvcli.core.tensors import bytes_of_tensor
from tlvcli.methods.weights.moments import Moments, _widen, moments
from tlvcli.methods.weights.values import stored


def of(tensor: torch.Tensor) -> Moments:
    dtype = str(tensor.dtype).removeprefix("torch.")
    return moments(stored(bytes_of_tensor(tensor), dtype), dtype)


def normal(mean: float, std: float, count: int = 20_011) -> torch.Tensor:
    return mean + std * torch.randn(count, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(
    "dtype", ["float64", "float32", "float16", "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2"]
)
@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (0.3, 1.0), (1.0, 0.01), (-200.0, 3.0)])
def test_agree_with_float64(dtype: str, mean: float, std: float) -> None:
    tensor = normal(mean, std).to(getattr(torch, dtype))
    wide = tensor.double()
    found = of(tensor)
    assert (found.count, found.nan, found.infinite) == (20_011, 0, 0)
    assert found.zeros == int((wide == 0).sum())
    assert (found.low, found.high) == (float(wide.min()), float(wide.max()))
    assert found.mean == pytest.approx(float(wide.mean()), rel=1e-7, abs=1e-8)
    assert found.std == pytest.approx(float(wide.std(correction=0)), rel=1e-6, abs=1e-12)


def test_a_large_mean_costs_no_digits() -> None:
    tensor = normal(10_000.0, 0.01).float()
    assert of(tensor).std == pytest.approx(float(tensor.double().std(correction=0)), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_squares_beyond_float32(scale: float) -> None:
    tensor = normal(0.0, scale).float()
    assert of(tensor).std == pytest.approx(float(tensor.double().std(correction=0)), rel=1e-9)


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16", "float8_e5m2"])
def test_what_is_not_finite_is_counted_and_left_out(dtype: str) -> None:
    values = [1.0, float("nan"), -3.0, float("inf"), 0.0, -float("inf"), -0.0, float("inf")]
    found = of(torch.tensor(values).to(getattr(torch, dtype)))
    assert (found.count, found.nan, found.infinite, found.finite, found.zeros) == (8, 1, 3, 4, 2)
    assert (found.mean, found.low, found.high) == (-0.5, -3.0, 1.0)
    assert found.squares == 1.5**2 + 2.5**2 + 2 * 0.5**2


def test_nothing_finite_and_nothing_at_all() -> None:
    assert of(torch.full((5,), float("nan"))) == Moments(count=5, nan=5)
    assert of(torch.empty(0)) == Moments()
    assert of(torch.full((5,), float("nan")).to(torch.float8_e4m3fn)) == Moments(count=5, nan=5)


def test_integers_flags_and_complex_magnitudes() -> None:
    assert of(torch.tensor([-5, 0, 8])).mean == 1.0
    found = of(torch.tensor([True, False, True, True]))
    assert (found.mean, found.zeros, found.low, found.high) == (0.75, 1, 0.0, 1.0)
    found = of(torch.tensor([3 + 4j, 0j]))
    assert (found.mean, found.zeros, found.high) == (2.5, 1, 5.0)


def test_merging_parts_is_the_whole() -> None:
    tensor = normal(0.5, 2.0)
    wanted, found = of(tensor), Moments()
    for part in tensor.split(3_000):
        found = found.merge(of(part))
    assert (found.count, found.low, found.high) == (wanted.count, wanted.low, wanted.high)
    assert (found.mean, found.std) == (pytest.approx(wanted.mean, rel=1e-12), pytest.approx(wanted.std, rel=1e-12))
    assert Moments().merge(wanted) == wanted == wanted.merge(Moments())


def test_every_half_is_widened_exactly() -> None:
    halves = np.arange(65536, dtype=np.uint16).view(np.float16)
    finite = halves[np.isfinite(halves)]
    np.testing.assert_array_equal(_widen(finite), finite.astype(np.float32))
    np.testing.assert_array_equal(_widen(halves), halves.astype(np.float32))

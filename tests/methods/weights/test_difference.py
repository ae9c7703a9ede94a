import math

import pytest
import torch

from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.weights import difference
from tlvcli.methods.weights.difference import ValueDifference, value_differences


def compare(r: torch.Tensor, x: torch.Tensor, *, atol: float = 0.0, rtol: float = 0.0) -> ValueDifference:
    old, new = TensorsInMemory({"a": r}), TensorsInMemory({"b": x})
    (found,) = value_differences(old, new, [(old.specs[0], new.specs[0])], atol=atol, rtol=rtol)
    return found


def test_numbers_by_hand() -> None:
    found = compare(torch.tensor([3.0, 4.0, 0.0]), torch.tensor([3.0, 0.0, 1.0]))
    assert (found.differing, found.largest) == (2, 4.0)
    assert found.relative_l2 == pytest.approx(math.sqrt(17) / 5)
    assert found.cosine == pytest.approx(9 / (5 * math.sqrt(10)))


@pytest.mark.parametrize(("r", "x"), [("float32", "float32"), ("float32", "bfloat16"), ("float16", "float8_e5m2")])
def test_pieces_agree_with_torch(r: str, x: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(difference, "_CHUNK", 64)
    generator = torch.Generator().manual_seed(0)
    before = torch.randn(20, 30, generator=generator).to(getattr(torch, r))
    after = (before.float() + 0.1 * torch.randn(20, 30, generator=generator)).to(getattr(torch, x))
    found, wide = compare(before, after), (before.double(), after.double())
    assert found.relative_l2 == pytest.approx(float((wide[1] - wide[0]).norm() / wide[0].norm()))
    assert found.largest == pytest.approx(float((wide[1] - wide[0]).abs().max()))
    assert found.cosine == pytest.approx(float(torch.cosine_similarity(*(one.flatten() for one in wide), dim=0)))
    assert found.differing == int((wide[0] != wide[1]).sum())


def test_both_ways_to_compute_agree() -> None:
    generator = torch.Generator().manual_seed(0)
    r, x = (torch.randn(10_000, generator=generator) for _ in range(2))
    x[:5_000] = r[:5_000]
    fast, slow = compare(r, x), compare(r, x, atol=1e-300)
    assert (fast.differing, slow.differing) == (5_000, 5_000)
    assert fast.largest == slow.largest == float((x.double() - r.double()).abs().max())
    assert (fast.relative_l2, fast.cosine) == (pytest.approx(slow.relative_l2), pytest.approx(slow.cosine))


def test_the_same_is_no_difference() -> None:
    values = torch.tensor([1.0, float("nan"), float("inf"), -0.0])
    found = compare(values, torch.tensor([1.0, float("nan"), float("inf"), 0.0]))
    assert (found.differing, found.relative_l2, found.cosine, found.largest) == (0, 0.0, 1.0, 0.0)


def test_what_is_not_finite_differs_but_counts_in_no_sum() -> None:
    nan, infinity = float("nan"), float("inf")
    found = compare(torch.tensor([1.0, nan, infinity, 2.0]), torch.tensor([nan, 1.0, -infinity, 3.0]), atol=9.0)
    assert (found.differing, found.squares, found.reference_squares, found.largest) == (3, 1.0, 4.0, 1.0)


def test_tolerance_is_absolute_and_relative_to_the_reference() -> None:
    r, x = torch.tensor([1.0, 100.0, 0.0]), torch.tensor([1.25, 101.0, 0.25])
    assert compare(r, x).differing == 3
    assert compare(r, x, atol=0.25).differing == 1
    assert compare(r, x, rtol=0.25).differing == 1
    assert compare(r, x, rtol=0.01).differing == 2


def test_large_integers_differ_though_float64_rounds_them() -> None:
    found = compare(torch.tensor([2**53]), torch.tensor([2**53 + 1]))
    assert (found.differing, found.largest) == (1, 0.0)


def test_complex_numbers() -> None:
    found = compare(torch.tensor([3 + 4j]), torch.tensor([4j]))
    assert (found.relative_l2, found.largest, found.cosine) == (0.6, 3.0, 0.8)


def test_without_a_scale_there_is_no_ratio() -> None:
    found = compare(torch.zeros(2), torch.ones(2))
    assert (found.relative_l2, found.cosine, found.differing) == (None, None, 2)
    assert compare(torch.empty(0), torch.empty(0)) == ValueDifference()

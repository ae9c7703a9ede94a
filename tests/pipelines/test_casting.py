"""Which values fit a narrower dtype, at the bit where they stop to."""

from __future__ import annotations

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.casting import cast, count_overflows

INF, NAN = float("inf"), float("nan")


@pytest.mark.parametrize(
    ("dtype", "fits", "too_large"),
    [
        (torch.float16, [65504.0, -65519.0, 1e-30, INF, -INF, NAN], [65520.0, -1e5, 3e38]),
        (torch.bfloat16, [3.38e38, -3.3895313892515355e38, INF, NAN], [3.4e38, -3.4e38]),
        (torch.float8_e5m2, [57344.0, -61439.0, INF], [61440.0, 1e6]),
        # Without infinities; half a step above 448 lies 464.
        (torch.float8_e4m3fn, [448.0, -464.0, NAN], [465.0, -1e6, INF]),
    ],
)
def test_the_last_value_that_fits(dtype: torch.dtype, fits: list[float], too_large: list[float]) -> None:
    assert count_overflows(torch.tensor(fits), dtype) == 0
    assert count_overflows(torch.tensor(too_large), dtype) == len(too_large)
    assert count_overflows(torch.tensor([fits + too_large] * 2), dtype) == 2 * len(too_large)


def test_doubles_and_large_tensors() -> None:
    assert count_overflows(torch.tensor([1e300, 3.4028235677973366e38, 1.0], dtype=torch.float64), torch.float32) == 2
    large = torch.zeros(1_000_001)
    large[[0, 500_000, 1_000_000]] = 7e4
    assert count_overflows(large, torch.float16) == 3
    assert count_overflows(torch.empty(0), torch.float16) == 0


def test_cast_names_tensor_and_count() -> None:
    with pytest.raises(TlvError) as caught:
        cast(torch.tensor([1e6, 1.0, -1e6]), "float16", name="fc.weight")
    assert caught.value.error_id == "dtype-overflow"
    assert "fc.weight holds 2 values" in caught.value.message
    assert "bfloat16" in caught.value.hint
    same = torch.tensor([1e6])
    assert cast(same, "float32", name="x") is same
    assert cast(torch.tensor([0.1]), "bfloat16", name="x").tolist() == [0.10009765625]

import numpy as np
import pytest
import torch

from tlvcli.core.tensors import bytes_of_tensor
from tlvcli.methods.weights.values import decode, stored, table_of_bytes

SMALL_FLOATS = ("float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu")


@pytest.mark.parametrize("dtype", [*SMALL_FLOATS, "int8", "uint8"])
def test_every_byte_is_what_torch_says(dtype: str) -> None:
    kind = getattr(torch, dtype, None)
    if kind is None:
        pytest.skip(f"this torch lacks {dtype}")
    wanted = torch.arange(256, dtype=torch.uint8).view(kind).to(torch.float32).numpy()
    np.testing.assert_array_equal(table_of_bytes(dtype).astype(np.float32), wanted)


def test_every_bfloat16_is_what_torch_says() -> None:
    codes = torch.arange(65536, dtype=torch.int32).to(torch.uint16)
    values = decode(codes.numpy(), "bfloat16")
    np.testing.assert_array_equal(values, codes.view(torch.bfloat16).float().numpy())


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "complex64", "int64", "int16", "uint8", "bool"])
def test_usual_dtypes_are_views(dtype: str) -> None:
    tensor = torch.tensor([0, 1, 1, 0, 1]).to(getattr(torch, dtype))
    elements = stored(bytes_of_tensor(tensor), dtype)
    assert decode(elements, dtype).tolist() == tensor.tolist()

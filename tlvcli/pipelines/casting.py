"""A tensor in another floating dtype, or an error: a value that does not fit is never changed silently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.tensors import dtype_name

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Fits a core's cache together with its copies.
_CHUNK_ELEMENTS = 1 << 18


def cast(tensor: Tensor, dtype: str, *, name: str) -> Tensor:
    """Return `tensor` in `dtype`, rounded to nearest.

    Raises:
        TlvError: `dtype-overflow` where a value is too large for it.
    """
    import torch

    if dtype_name(tensor) == dtype:
        return tensor
    wanted: torch.dtype = getattr(torch, dtype)
    number = count_overflows(tensor, wanted) if can_overflow(dtype_name(tensor), dtype) else 0
    if number:
        raise TlvError(
            "dtype-overflow",
            f"{name} holds {number} {'value' if number == 1 else 'values'} too large for {dtype}, "
            f"which ends at {torch.finfo(wanted).max:g}",
            "--dtype bfloat16 has nearly the range of float32" if dtype != "bfloat16" else "--dtype float32 holds them",
        )
    return tensor.to(wanted)


def can_overflow(source: str, wanted: str) -> bool:
    """Return whether a floating dtype holds values that another cannot."""
    import torch

    return torch.finfo(getattr(torch, source)).max > torch.finfo(getattr(torch, wanted)).max


def count_overflows(tensor: Tensor, dtype: torch.dtype) -> int:
    """Return how many elements have no neighbour in `dtype`: larger by more than half its last step."""
    import torch

    limits = torch.finfo(dtype)
    wide = torch.float64 if tensor.dtype == torch.float64 else torch.float32
    number = 0
    if tensor.numel() == 0:  # which has no smallest element
        return number
    for chunk in torch.split(tensor.reshape(-1), _CHUNK_ELEMENTS):
        values = chunk.to(wide)
        low, high = values.aminmax()
        if limits.min <= low and high <= limits.max:  # neither holds for a NaN
            continue
        rounded = values.to(dtype).to(wide)
        # Some versions of torch clamp what is too large for a dtype without infinities, others make it a NaN.
        clamped = (rounded.abs() == limits.max) & (values.abs() > _last_rounded_down(limits))
        lost = (values.isfinite() & (~rounded.isfinite() | clamped)) | (values.isinf() & ~rounded.isinf())
        number += int(lost.sum())
    return number


def _last_rounded_down(limits: torch.finfo) -> float:
    """Return the largest number that may be rounded to the largest of the dtype: half a step above it."""
    step = limits.eps * 2.0 ** (int(limits.max).bit_length() - 1)
    return float(limits.max + step / 2)

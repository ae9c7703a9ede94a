"""In which floating type a network computes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from tlvcli.core.errors import TlvError

if TYPE_CHECKING:
    import torch

Precision = Literal["fp32", "bf16", "fp16"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]


def choose_precision(name: PrecisionName, device: torch.device) -> Precision:
    """Return the precision to use; `auto` takes a half precision where the hardware computes in it.

    Raises:
        TlvError: `precision-unavailable` for fp16 on the CPU.
    """
    import torch

    if name == "fp16" and device.type == "cpu":
        raise TlvError("precision-unavailable", "fp16 does not pay on the CPU", "use --precision bf16, fp32 or auto")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
    return "bf16" if _cpu_computes_bf16() else "fp32"


def autocast_to(precision: Precision, device: torch.device) -> torch.autocast:
    """Return the context for forward passes; with fp32 it changes nothing."""
    import torch

    dtype = torch.float16 if precision == "fp16" else torch.bfloat16
    return torch.autocast(device.type, dtype=dtype, enabled=precision != "fp32")


def _cpu_computes_bf16() -> bool:
    # Without these instructions oneDNN emulates bf16, slower than fp32; torch has no public query.
    import torch

    questions = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(bool(getattr(torch.cpu, question, bool)()) for question in questions)

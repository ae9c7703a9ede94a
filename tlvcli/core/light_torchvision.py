"""Import torch and torchvision faster: without the compiler that torchvision asks for, and what nobody collects."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


def import_torchvision() -> None:
    """Import torchvision; of torch's compiler it gets what looks the same, and loads it when it is used.

    torchvision's `ops/roi_align.py` wants one function of the compiler, `is_compile_supported`, for detectors on CUDA:
    measured with torch 2.15, 2.0 of the 2.2 seconds of CPU time that `import torchvision` takes behind `import torch`.
    Nothing changes where torchvision or the compiler is loaded already. Afterwards the compiler is imported as ever, by
    torch.compile or by a user's file, for the placeholder is gone; the one function stays, and asks the real one.
    """
    if "torchvision" in sys.modules or "torch._dynamo" in sys.modules:
        return
    sys.modules[_COMPILER] = _Placeholder(_COMPILER)
    collects = gc.isenabled()
    # What is imported stays: looking through it again and again takes a tenth of the time.
    gc.disable()
    try:
        import torchvision  # noqa: F401
    finally:
        # Into the oldest generation, without a look. Not left frozen: what a program of the user's has dropped by then
        # would stay, networks on a device among it.
        gc.freeze()
        gc.unfreeze()
        if collects:
            gc.enable()
        if isinstance(sys.modules.get(_COMPILER), _Placeholder):
            del sys.modules[_COMPILER]


class _Placeholder(ModuleType):
    """Stands for a module; whatever else than the one function is asked of it comes from the module itself."""

    def __getattr__(self, name: str) -> Any:
        if name == "is_compile_supported":
            return _is_compile_supported
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_load(), name)


def _is_compile_supported(device_type: str) -> bool:
    answer: bool = _load().is_compile_supported(device_type)
    return answer


# As torch marks its own: code that is compiled takes the answer, and does not look into it.
_is_compile_supported._dynamo_marked_constant = True  # type: ignore[attr-defined]


def _load() -> ModuleType:
    if isinstance(sys.modules.get(_COMPILER), _Placeholder):
        del sys.modules[_COMPILER]
    return import_module(_COMPILER)

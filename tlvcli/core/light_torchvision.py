"""Import torchvision without the compiler that it asks torch for, which takes longer than all the rest of it."""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import Any

_COMPILER = "torch._dynamo.utils"


def import_torchvision() -> None:
    """Import torchvision; of torch's compiler it gets what looks the same, and loads it when it is used.

    torchvision's `ops/roi_align.py` wants one function of the compiler, `is_compile_supported`, for detectors on CUDA:
    measured with torch 2.15, 2.0 of the 2.2 seconds of CPU time that `import torchvision` takes. Nothing changes where
    the compiler or torchvision is loaded already.
    """
    if "torchvision" in sys.modules or "torch._dynamo" in sys.modules:
        return
    sys.modules[_COMPILER] = _Placeholder(_COMPILER)
    try:
        import torchvision  # noqa: F401
    finally:
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


def _load() -> ModuleType:
    if isinstance(sys.modules.get(_COMPILER), _Placeholder):
        del sys.modules[_COMPILER]
    return import_module(_COMPILER)

"""What runs in the process that imports packages for `tlv doctor`: it may crash, and says how far it came.

It prints one JSON object to a line: {"module": ...} for every package, {"check": ...} for what is tried with them,
{"devices": ...}. It knows nothing of tlv, so that nothing of tlv can break it.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

# What cannot work without another; its failure would only repeat the other's.
_BUILT_ON = {"torchvision": ("torch",), "timm": ("torch", "torchvision")}
_MOST_CHARACTERS = 2000


def main(modules: Sequence[str]) -> None:
    """Import the modules in turn and print what came of it."""
    # What packages print is not for our reader: it goes to stderr.
    with os.fdopen(os.dup(1), "w", buffering=1) as answers:
        os.dup2(2, 1)

        def say(**answer: Any) -> None:
            answers.write(json.dumps(answer) + "\n")

        broken: set[str] = set()
        for name in modules:
            missing = [other for other in _BUILT_ON.get(name, ()) if other in broken]
            answer = {"skipped_for": missing[0]} if missing else _attempt(partial(_import, name))
            if missing or "error" in answer:
                broken.add(name)
            say(module=name, **({"file": _place(name)} | answer))
        for check, (needs, function) in _CHECKS.items():
            if all(name in modules and name not in broken for name in needs):
                say(check=check, **_attempt(function))
        if "torch" in modules and "torch" not in broken:
            say(devices=_attempt(_devices))


def _attempt(function: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return what a function returns, or its error, with the warnings that it gave."""
    started = time.perf_counter()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            answer = function()
        # A broken extension raises anything, SystemExit included.
        except BaseException as error:
            answer = {"error": f"{type(error).__name__}: {error}"[:_MOST_CHARACTERS]}
    texts = [str(warning.message)[:_MOST_CHARACTERS] for warning in said]
    return {**answer, "warnings": texts, "seconds": round(time.perf_counter() - started, 3)}


def _import(name: str) -> dict[str, Any]:
    module = importlib.import_module(name)
    version = getattr(module, "__version__", None)
    return {"version": None if version is None else str(version), "file": getattr(module, "__file__", None)}


def _place(name: str) -> str | None:
    """Return the file that an import would read, which is how one finds the copy in the way of another."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # a module that has half been imported may have no spec
        return None
    return spec.origin if spec else None


def _run_operator() -> dict[str, Any]:
    import torch
    import torchvision

    # One that is compiled: it needs torchvision's library, and that one this very torch.
    torchvision.ops.nms(torch.zeros(1, 4), torch.zeros(1), 0.5)
    return {}


def _cross_to_numpy() -> dict[str, Any]:
    import torch

    torch.zeros(1).numpy()
    return {}


def _devices() -> dict[str, Any]:
    import torch

    available = torch.cuda.is_available()
    return {
        "cuda": torch.version.cuda,
        "hip": torch.version.hip,
        "available": available,
        "threads": torch.get_num_threads(),
        "devices": [_attempt(partial(_look_at, number)) for number in range(torch.cuda.device_count())]
        if available
        else [],
    }


def _look_at(number: int) -> dict[str, Any]:
    import torch

    properties = torch.cuda.get_device_properties(number)
    known = {"name": properties.name, "total": properties.total_memory}
    try:
        # A kernel of its own: torch may lack those for a card that is too old, or too new.
        ones = torch.ones(8, 8, device=f"cuda:{number}")
        computed = float((ones @ ones).sum())
        free, _ = torch.cuda.mem_get_info(number)
    except RuntimeError as error:
        return {**known, "failed": f"{error}"[:_MOST_CHARACTERS]}
    return {**known, "free": free, "right": computed == 512.0}


_CHECKS: dict[str, tuple[tuple[str, ...], Callable[[], dict[str, Any]]]] = {
    "torchvision operators": (("torch", "torchvision"), _run_operator),
    "torch with numpy": (("torch", "numpy"), _cross_to_numpy),
}


if __name__ == "__main__":
    main(sys.argv[1:])

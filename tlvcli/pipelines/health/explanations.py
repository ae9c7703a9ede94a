"""What an error on import means, and what mends it: packages with compiled parts that do not fit together."""

from __future__ import annotations

import re

_REINSTALL = "pip install --force-reinstall --no-cache-dir {package}"
_PAIR = "pip install --upgrade --force-reinstall torch torchvision, both from one index"
# The first that is found in the error decides; {package} is what was imported.
_MEANINGS = (
    (
        r"operator torchvision::\w+ does not exist|Couldn't load custom C\+\+ ops|torchvision.*undefined symbol",
        f"torchvision was built for another torch than the one here: {_PAIR}",
    ),
    (
        r"No module named 'torch\._C|cannot import name '_C'|partially initialized module 'torch'",
        "a folder or file called torch is in the way, or it is incomplete: leave the current folder, or " + _REINSTALL,
    ),
    (
        r"lib(cu\w+|nv\w+|nccl)[\w.-]*\.so[\w.]*: cannot open shared object",
        "a library of CUDA is missing: " + _REINSTALL + ", or take the CPU build of torch",
    ),
    (
        r"iJIT_NotifyEvent|libtorch\w*\.so|libc10\w*\.so",
        f"its compiled part does not find the parts of torch that it was built with: {_PAIR}",
    ),
    (
        r"numpy\.core\.multiarray|compiled using NumPy 1|Numpy is not available|_ARRAY_API|numpy\.dtype size changed",
        "it was built for another numpy: pip install --upgrade {package} numpy; for an old one 'numpy<2'",
    ),
    (r"GLIBC(XX)?_[\d.]+' not found", "it was built for a newer system: take an older release, or conda's builds"),
    (r"undefined symbol|Symbol not found", "its compiled part fits another release: " + _REINSTALL),
    (r"failed to map segment|cannot allocate memory|MemoryError", "there is too little memory, or it forbids programs"),
    (r"No module named|cannot import name", "it is incomplete, or lacks what it needs: " + _REINSTALL),
)


def explain(package: str, error: str) -> str:
    """Return what to do about an error that importing or trying `package` gave."""
    hint = next((hint for pattern, hint in _MEANINGS if re.search(pattern, error, re.DOTALL)), _REINSTALL)
    return hint.format(package=package)

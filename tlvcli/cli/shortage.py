"""Too little memory, told as such, whatever stood in its way first."""

from __future__ import annotations

import errno
import re

from tlvcli.core.errors import TlvError

OUT_OF_MEMORY = "out-of-memory"
_WORDS = re.compile(
    r"out of memory|(?:can't|cannot) allocate memory|can't start new thread|ALLOC_FAILED", re.IGNORECASE
)
_ASKED_FOR = re.compile(r"(?:allocate|mmap) ([\d.]+ \w+)")
_OF_A_GPU = re.compile(r"\b(?:CUDA|HIP|CUBLAS|CUDNN)")


def find_shortage(error: BaseException) -> TlvError | None:
    """Return the error to draw instead of one that came of too little memory, and None for any other.

    A file that no memory holds is not damaged, and a network that none holds no fault of its builder: what counts is
    what the error was raised from.
    """
    origin: BaseException | None = error
    while origin is not None:
        if _is_shortage(origin):
            return _describe(str(origin))
        origin = origin.__cause__ or (None if origin.__suppress_context__ else origin.__context__)
    return None


def _is_shortage(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    # torch has a class of its own for devices, and words for all else.
    return isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and bool(_WORDS.search(str(error))))


def _describe(said: str) -> TlvError:
    place = " on the GPU" if _OF_A_GPU.search(said) else ""
    asked_for = _ASKED_FOR.search(said)
    message = f"there is too little memory{place}{f' for {asked_for[1]} more' if asked_for else ''}"
    hint = "free some; a smaller --batch-size, --image-size or --jobs takes less, where the command has them"
    return TlvError(OUT_OF_MEMORY, message, hint)

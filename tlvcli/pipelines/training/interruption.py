"""SIGINT and SIGTERM as a wish that is granted between two steps."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any

from tlvcli.core.errors import TlvError

_WORDS = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@dataclass
class StopWish:
    """`number` is the signal that came, None as long as none did."""

    number: int | None = None


@contextmanager
def stop_wishes() -> Iterator[StopWish]:
    """Note the first SIGINT or SIGTERM instead of obeying it; the second one is obeyed at once.

    Processes forked meanwhile, as those that read images, leave it to us: terminals send SIGINT, and `timeout` SIGTERM,
    to all of them, and the step that goes on may need their images. A second SIGTERM ends them.
    Outside the main thread, where Python lets nobody handle signals, nothing changes.
    """
    wish = StopWish()
    if threading.current_thread() is not threading.main_thread():
        yield wish
        return
    before: dict[int, Any] = {number: signal.getsignal(number) for number in _WORDS}
    ours = os.getpid()

    def note(number: int, frame: FrameType | None) -> None:
        is_ours = os.getpid() == ours
        if wish.number is None:
            wish.number = number
        elif is_ours or number == signal.SIGTERM:
            _obey(number, before[number] if is_ours else signal.SIG_DFL)

    try:
        for number in _WORDS:
            signal.signal(number, note)
        yield wish
    finally:
        for number in _WORDS:
            signal.signal(number, before[number])


def _obey(number: int, handler: Any) -> None:
    signal.signal(number, handler)
    signal.raise_signal(number)


def stopped(number: int, where: str, hint: str) -> TlvError:
    """Return the error that ends a run on a signal, with the exit code that shells expect: 130 or 143."""
    word = _WORDS[signal.Signals(number)]
    return TlvError(word, f"{word} {where}", hint, exit_code=128 + number)

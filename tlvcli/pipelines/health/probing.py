"""Importing every package in a process of its own, and taking down what it says."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tlvcli.pipelines.health.requirements import Needed

# What the others are built on; numpy is needed by all that computes, if not by name.
_FIRST = ("numpy", "torch", "torchvision")
# Those that a user's command imports; the others are for developing tlv.
USERS_EXTRAS = ("timm", "tensorboard")
_START = "import json, sys; sys.path[:] = json.loads(sys.argv.pop(1)); "
_START += "from tlvcli.pipelines.health.probe import main; main(sys.argv[1:])"


@dataclass(frozen=True)
class Probed:
    """What came of importing: by module, by check, of devices; `ended` says how the process ended, if not well."""

    asked: tuple[str, ...] = ()
    modules: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    checks: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    devices: Mapping[str, Any] | None = None
    ended: str | None = None

    @property
    def culprit(self) -> str | None:
        """The module whose import ended the process, if one did."""
        return next((name for name in self.asked if name not in self.modules), None) if self.ended else None


def probe(requirements: Iterable[Needed], *, timeout: float) -> Probed:
    """Import what tlv and its users' extras need, as far as it is installed; `timeout` in seconds."""
    modules = _modules(requirements)
    command = [sys.executable, "-c", _START, json.dumps(sys.path), *modules]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            answers, errors = process.communicate(timeout=timeout)
            ended = _describe_end(process.returncode, errors)
        except subprocess.TimeoutExpired:
            process.kill()
            answers, _ = process.communicate()
            ended = f"it took more than {timeout:g} s"
    return _sort(modules, [json.loads(line) for line in answers.splitlines() if line.endswith(b"}")], ended)


def _modules(requirements: Iterable[Needed]) -> list[str]:
    """Return what to import: what tlv needs, there or not, and the extras that are there."""
    wanted = [
        needed.module
        for needed in requirements
        if needed.extra is None or (needed.extra in USERS_EXTRAS and needed.installed is not None)
    ]
    return [*dict.fromkeys((*_FIRST, *wanted))]


def _sort(asked: Sequence[str], answers: Sequence[Mapping[str, Any]], ended: str | None) -> Probed:
    return Probed(
        asked=tuple(asked),
        modules={answer["module"]: answer for answer in answers if "module" in answer},
        checks={answer["check"]: answer for answer in answers if "check" in answer},
        devices=next((answer["devices"] for answer in answers if "devices" in answer), None),
        ended=ended,
    )


def _describe_end(code: int, errors: bytes) -> str | None:
    if code == 0:
        return None
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"it ended by {name}"
    last = errors.decode("utf-8", "replace").strip().splitlines()
    return f"it ended with code {code}" + (f": {last[-1]}" if last else "")

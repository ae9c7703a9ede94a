"""Where and how a run computes: device, precision, random streams, versions, wall time."""

from __future__ import annotations

import hashlib
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.processes import find_processes
from tlvcli.core.report import RunInfo

if TYPE_CHECKING:
    import torch


def choose_device(name: str) -> torch.device:
    """Return the device for `auto`, `cpu`, `cuda` or `cuda:N`; of several processes, each gets a GPU of its own.

    Raises:
        TlvError: `device-unavailable`, when the machine has no such device, or the name is none; `device-shared`, where
            several processes would take one GPU.
    """
    kind, _, index = name.partition(":")
    if name != "auto" and (kind not in ("cpu", "cuda") or (index and not index.isdecimal())):
        raise TlvError("device-unavailable", f"no device is called {name}", "use auto, cpu, cuda or cuda:N")
    import torch

    if name == "auto":
        name = kind = "cuda" if torch.cuda.is_available() else "cpu"
    processes = find_processes()
    if kind == "cuda" and processes.several:
        if index:
            raise TlvError(
                "device-shared",
                f"{name} cannot be the device of {processes.world_size} processes",
                "--device cuda gives each a GPU of its own, of those that CUDA_VISIBLE_DEVICES names",
            )
        index = str(processes.local_rank)
        name = f"cuda:{index}"
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise TlvError(
            "device-unavailable",
            f"{name}: this machine shows {torch.cuda.device_count()} CUDA devices to torch",
            "use --device cpu, or --device auto to take what is there",
        )
    return torch.device(name)


def derive_seed(seed: int, *names: str | int) -> int:
    """Return a seed in [0, 2^63) for the stream that `names` identify, independent of every other stream."""
    text = "\0".join(str(part) for part in (seed, *names))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def make_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return a CPU generator on the stream that `names` identify (see `derive_seed`)."""
    import torch

    return torch.Generator().manual_seed(derive_seed(seed, *names))


@contextmanager
def seeded_globally(seed: int, *names: str | int) -> Iterator[None]:
    """Seed torch's global CPU generator for code that draws from it, and restore it afterwards."""
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(derive_seed(seed, *names))
        yield


def peak_memory_bytes(device: torch.device) -> int:
    """Return the most memory held so far: on a CUDA device by its tensors, else by this process."""
    import resource

    import torch

    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB


class Stopwatch:
    """Measures one command and describes the run for its report."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._started_at = datetime.now(timezone.utc)

    def run_info(self, device: torch.device | None = None) -> RunInfo:
        """Return what differs from run to run: time, seconds so far, host, device, versions."""
        versions = {"tlv": __version__, "python": platform.python_version()}
        for name in ("torch", "torchvision"):
            if name in sys.modules:
                versions[name] = sys.modules[name].__version__
        return RunInfo(
            started_at=self._started_at.isoformat(timespec="seconds"),
            seconds=round(time.perf_counter() - self._started, 3),
            host=platform.node(),
            device=describe_device(device),
            versions=versions,
        )


def describe_device(device: torch.device | None) -> str:
    """Return `none`, `cpu`, or the CUDA device with the card's name."""
    if device is None:
        return "none"
    if device.type != "cuda":
        return str(device)
    import torch

    return f"{device} ({torch.cuda.get_device_name(device)})"

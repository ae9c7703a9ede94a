"""How much the machine bears: cells at once, and what each of them gets of it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.data.reading import granted_cores

# Of a process that trains: Python with torch, and the images, activations and gradients of small networks.
_JOB_BYTES = 1_500_000_000
# Weights, their gradients, two moments of the optimiser, best and last weights on their way to the disk.
_COPIES_IN_MEMORY = 6


@dataclass(frozen=True)
class Machine:
    """So many `jobs` at once, with so many `threads` each; one for each of the `gpus`, where there are any."""

    jobs: int
    threads: int
    gpus: tuple[str, ...] = ()

    def environment(self, slot: int) -> dict[str, str]:
        """Return the environment variables of one of the jobs, counted from 0."""
        threads = {"OMP_NUM_THREADS": str(self.threads)}
        return {**threads, "CUDA_VISIBLE_DEVICES": self.gpus[slot]} if self.gpus else threads


def choose_machine(asked: int | None, device: str, *, num_cells: int, network_bytes: int) -> Machine:
    """Return what the machine bears, or what was asked for as far as there are cells and GPUs.

    Raises:
        TlvError: `device-unavailable`.
    """
    cores, gpus = granted_cores(), _gpus(device)
    if gpus:
        jobs = min(asked or len(gpus), len(gpus), num_cells)
        return Machine(jobs, _threads(cores, jobs), gpus[:jobs])
    fits = _free_memory() // (_JOB_BYTES + _COPIES_IN_MEMORY * network_bytes)
    jobs = max(1, min(asked or min(cores, fits), num_cells))
    return Machine(jobs, _threads(cores, jobs))


def _threads(cores: int, jobs: int) -> int:
    """Return each job's share of the cores, or what the user allows a process, where that is less."""
    allowed = os.environ.get("OMP_NUM_THREADS", "")
    share = max(1, cores // jobs)
    return min(share, int(allowed)) if allowed.isdecimal() and int(allowed) > 0 else share


def _gpus(device: str) -> tuple[str, ...]:
    """Return the GPUs as CUDA_VISIBLE_DEVICES names them; none where the cells run on the CPU."""
    from tlvcli.core.runtime import choose_device

    if ":" in device:
        raise TlvError(
            "device-unavailable",
            f"device {device}: of several GPUs, tlv compare takes all",
            f"CUDA_VISIBLE_DEVICES={device.partition(':')[2]} with --device cuda takes this one",
        )
    if choose_device(device).type != "cuda":
        return ()
    import torch

    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    names = visible.split(",") if visible else [str(number) for number in range(torch.cuda.device_count())]
    return tuple(names[: torch.cuda.device_count()])


def _free_memory() -> int:
    """Return the bytes that new processes may take, of the machine or of the container around us."""
    meminfo, limit, used = (
        Path(name) for name in ("/proc/meminfo", "/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current")
    )
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if meminfo.is_file():
        lines = dict(line.split(":", 1) for line in meminfo.read_text().splitlines() if ":" in line)
        free = int(lines["MemAvailable"].split()[0]) * 1024
    if limit.is_file() and used.is_file() and (most := limit.read_text().strip()).isdecimal():
        free = min(free, int(most) - int(used.read_text()))
    return max(0, free)

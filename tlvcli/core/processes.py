"""One command on several processes: who we are among those that `torchrun` started, and how we agree.

Everything here works on one process too, where it costs nothing. Values go from process to process as tensors and
plain Python values over torch's own process groups: gloo between CPUs, NCCL between GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tlvcli.core.errors import TlvError

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Value = TypeVar("Value")


@dataclass(frozen=True)
class Processes:
    """`rank` is ours, from 0; `world_size` is how many work together; `local_rank` is ours on this machine."""

    rank: int = 0
    world_size: int = 1
    local_rank: int = 0

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return self.world_size > 1

    @property
    def is_first(self) -> bool:
        """Whether we are the one that writes files and speaks."""
        return self.rank == 0


def find_processes() -> Processes:
    """Return what `torchrun` says of this process in its environment, or one process alone.

    Raises:
        TlvError: `processes-invalid`, where the environment contradicts itself.
    """
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK")
    given = [os.environ.get(name) for name in names]
    if given[1] is None:
        return Processes()
    if not all(text is not None and text.isdecimal() for text in given):
        said = ", ".join(f"{name}={text}" for name, text in zip(names, given, strict=True))
        raise TlvError("processes-invalid", f"the environment says {said}", "start several processes by torchrun")
    rank, world_size, local_rank = (int(text) for text in given if text is not None)
    return Processes(rank, world_size, local_rank)


@contextmanager
def joined(processes: Processes, device: torch.device) -> Iterator[Processes]:
    """Join the others for a while; all must come and all must go."""
    if not processes.several:
        yield processes
        return
    import torch

    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield processes
        # Whoever leaves first would tear the connections down under the others.
        torch.distributed.barrier()
    finally:
        torch.distributed.destroy_process_group()


def wait_for_all(processes: Processes) -> None:
    """Return when every process has come here."""
    if processes.several:
        import torch

        torch.distributed.barrier()


def sum_over(processes: Processes, tensor: Tensor) -> Tensor:
    """Return the sum of everybody's tensor, of the same shape; the argument stays as it is."""
    if not processes.several:
        return tensor
    import torch

    total = tensor.clone()
    torch.distributed.all_reduce(total)
    return total


def any_of(processes: Processes, flag: bool, device: torch.device) -> bool:
    """Return whether the flag is up in any process; all processes return the same."""
    if not processes.several:
        return flag
    import torch

    return bool(sum_over(processes, torch.tensor(int(flag), device=device)))


def gather(processes: Processes, value: Value) -> list[Value]:
    """Return everybody's value in the order of ranks, in every process; tensors should lie on the CPU."""
    if not processes.several:
        return [value]
    import torch

    values: list[Any] = [None] * processes.world_size
    torch.distributed.all_gather_object(values, value)
    return values


def from_first(processes: Processes, value: Value) -> Value:
    """Return the first process's value in every process."""
    if not processes.several:
        return value
    import torch

    values: list[Any] = [value]
    torch.distributed.broadcast_object_list(values)
    received: Value = values[0]
    return received

"""One command on several processes: who we are among those that `torchrun` started, and how we agree.

Everything here works on one process too, where it costs nothing. Values go from process to process as tensors and
plain Python values over torch's own process groups: gloo between CPUs, NCCL between GPUs.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from tlvcli.core.errors import TlvError

if TYPE_CHECKING:
    import torch
    from torch import Tensor
    from torch.distributed.distributed_c10d import Store

Value = TypeVar("Value")

# Of the error that follows from another process's, which has told it.
ENDED_WITH_ANOTHER = "ended-with-another"


class ToldForAllError(TlvError):
    """What ended a run of several processes, in the one process that tells it."""


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


ALONE = Processes()


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
    """Join the others for a while; all must come and all must go.

    An error of one ends them all. Only the first that happens is told, by its process; the others' follow from it, or
    say the same.

    Raises:
        ToldForAllError: in the process whose error came first; `process-lost` where another went without a word.
        TlvError: `ended-with-another` in the other processes, `processes-invalid` where they cannot meet.
    """
    if not processes.several:
        yield processes
        return
    import torch

    store = _meet(device)
    try:
        yield processes
        # Whoever leaves first would tear the connections down under the others.
        wait_for_all(processes)
    except (TlvError, RuntimeError) as error:
        ended = _as_told_once(error, store)
        if ended is None:
            raise
        raise ended from error
    finally:
        torch.distributed.destroy_process_group()


def _meet(device: torch.device) -> Store:
    import torch
    from torch.distributed.distributed_c10d import PrefixStore
    from torch.distributed.rendezvous import rendezvous

    try:
        store: Store
        store, rank, world_size = next(rendezvous("env://"))
    except ValueError as error:
        raise TlvError("processes-invalid", str(error), "start several processes by torchrun") from error
    if device.type == "cuda":
        torch.cuda.set_device(device)
    # What processes agree on goes by gloo also between GPUs: nobody waits for what these compute.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    # The store outlives this: who joins again must not find what was left there.
    before = (store.add("joined", 1) - 1) // world_size
    own = PrefixStore(f"run {before}", store)
    torch.distributed.init_process_group(backend, store=own, rank=rank, world_size=world_size)
    return own


def _as_told_once(error: TlvError | RuntimeError, store: Store) -> TlvError | None:
    """Return the error that ends this process, None where it is a bug of ours, which each tells."""
    import torch

    lost = isinstance(error, torch.distributed.DistError) or "gloo" in str(error)
    if not (lost or isinstance(error, TlvError)):
        store.add("told", 1)
        return None
    try:
        is_first = store.add("told", 1) == 1
    except RuntimeError:  # the store has gone with the first process
        is_first = False
    exit_code = error.exit_code if isinstance(error, TlvError) else 2
    if not is_first:
        return TlvError(ENDED_WITH_ANOTHER, "another process has ended the run", "it says why", exit_code=exit_code)
    if isinstance(error, TlvError):
        return ToldForAllError(error.error_id, error.message, error.hint, exit_code=exit_code)
    return ToldForAllError(
        "process-lost",
        "another process of the run has ended",
        "its machine may lack memory; what was complete is on disk",
    )


def wait_for_all(processes: Processes) -> None:
    """Return when every process has come here."""
    highest(processes, 0)


@contextmanager
def one_before_others(processes: Processes) -> Iterator[None]:
    """Let the first process of a machine do this before the others: it may fetch what they then find."""
    if processes.local_rank > 0:
        wait_for_all(processes)
    yield
    if processes.local_rank == 0:
        wait_for_all(processes)


def sum_over(processes: Processes, tensor: Tensor) -> Tensor:
    """Return the sum of everybody's tensor, of the same shape; the argument stays as it is."""
    if not processes.several:
        return tensor
    import torch

    total = tensor.clone()
    torch.distributed.all_reduce(total)
    return total


def highest(processes: Processes, number: int) -> int:
    """Return the largest of everybody's numbers, in every process."""
    if not processes.several:
        return number
    import torch

    numbers = torch.tensor(number)
    torch.distributed.all_reduce(numbers, torch.distributed.ReduceOp.MAX)
    return int(numbers)


def copy_from_first(processes: Processes, tensors: Iterable[Tensor]) -> None:
    """Overwrite these tensors by the first process's, which are as many and of the same shapes."""
    if not processes.several:
        return
    import torch

    for tensor in tensors:
        torch.distributed.broadcast(tensor, 0)


def gather(processes: Processes, value: Value) -> list[Value]:
    """Return everybody's value in the order of ranks, in every process; tensors should lie on the CPU."""
    if not processes.several:
        return [value]
    import torch

    values: list[Any] = [None] * processes.world_size
    torch.distributed.all_gather_object(values, value)
    return values

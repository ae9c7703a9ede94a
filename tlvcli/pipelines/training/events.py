"""The epochs as TensorBoard shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from tlvcli.core.errors import TlvError
from tlvcli.pipelines.training.job import EpochResult


def refuse_without_tensorboard() -> None:
    """Raise `extra-missing` where the package is not installed; called before the work starts."""
    if find_spec("tensorboard") is None:
        raise TlvError("extra-missing", "tensorboard is not installed", "pip install 'tlvcli[tensorboard]'")


@contextmanager
def open_events(folder: Path, *, enabled: bool, first_epoch: int) -> Iterator[Callable[[EpochResult], None]]:
    """Give what writes an epoch's numbers into `folder`; those from `first_epoch` on replace any that are there."""
    if not enabled:
        yield lambda epoch: None
        return
    from torch.utils.tensorboard import SummaryWriter

    with SummaryWriter(str(folder), purge_step=first_epoch) as writer:

        def write(epoch: EpochResult) -> None:
            for name, value in epoch.model_dump(exclude={"epoch"}).items():
                writer.add_scalar(name, value, epoch.epoch)
            writer.flush()

        yield write

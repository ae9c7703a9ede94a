"""What an epoch of training comes to while it runs: losses, images, time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from pydantic import Field

from tlvcli.core.errors import TlvError
from tlvcli.core.processes import ALONE, Processes, sum_over
from tlvcli.core.report import ReportPart
from tlvcli.data.loading import Batch

if TYPE_CHECKING:
    from torch import Tensor


class RunningEpoch(ReportPart):
    """Sums over the batches of an epoch so far, from which an interrupted one goes on."""

    loss_sum: float = Field(0.0, description="over images, in nats")
    images: int = 0
    seconds: float = 0.0
    seconds_waiting: float = Field(0.0, description="for images")
    learning_rate: float = Field(0.0, description="of the last step")


class Tally:
    """Counts batches; a loss stays on the device until `look_every` of them are looked at together.

    Looking at each would have a GPU wait for the CPU at every step. `fail` makes the error of a loss that is not
    finite, from the loss and the number of its batch in the epoch. Of several processes all count every batch, each
    with its share, and come to the same sums.
    """

    def __init__(
        self,
        before: RunningEpoch,
        *,
        look_every: int,
        fail: Callable[[float, int], TlvError],
        processes: Processes = ALONE,
    ) -> None:
        self._before = before
        self._look_every = look_every
        self._fail = fail
        self._processes = processes
        self._started = time.perf_counter()
        self._waited = 0.0
        self._loss_sum, self._images, self._rate = before.loss_sum, before.images, before.learning_rate
        self._unseen: list[tuple[Tensor, float, int, int]] = []

    def waited_for(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yield the batches, and count the time until each is there."""
        while True:
            began = time.perf_counter()
            batch = next(batches, None)
            self._waited += time.perf_counter() - began
            if batch is None:
                return
            yield batch

    def add(
        self, loss: Tensor, objective: Tensor, *, images: int, batch: int, learning_rate: float, share: float = 1.0
    ) -> None:
        """Count one batch: its mean loss, what was minimised (with regularisers), and its number in the epoch.

        `images` are those of all processes, of which the losses are the mean over this one's `share`.

        Raises:
            TlvError: what `fail` makes of this or an earlier loss.
        """
        import torch

        self._unseen.append((torch.stack((loss.detach(), objective.detach())), share, images, batch))
        self._rate = learning_rate
        if len(self._unseen) >= self._look_every:
            self.settle()

    def settle(self) -> None:
        """Look at all losses that wait to be looked at; before anything is saved.

        Raises:
            TlvError: what `fail` makes of the first that is not finite.
        """
        import torch

        if not self._unseen:
            return
        losses, shares, counts, batches = zip(*self._unseen, strict=True)
        self._unseen.clear()
        of_all = torch.stack(losses)  # [batches, loss and objective]
        of_all = sum_over(self._processes, of_all * of_all.new_tensor(shares)[:, None])
        for (loss, objective), images, batch in zip(of_all.tolist(), counts, batches, strict=True):
            if not (math.isfinite(loss) and math.isfinite(objective)):
                raise self._fail(objective, batch)
            self._loss_sum += loss * images
            self._images += images

    def sums(self) -> RunningEpoch:
        """Return what the epoch has come to, with what it had come to before; call `settle` first."""
        return RunningEpoch(
            loss_sum=self._loss_sum,
            images=self._images,
            seconds=self._before.seconds + time.perf_counter() - self._started,
            seconds_waiting=self._before.seconds_waiting + self._waited,
            learning_rate=self._rate,
        )

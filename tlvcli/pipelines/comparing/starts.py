"""How a target is started in a comparison: a transfer method and what follows its mapping, as coherent+fit+calibrate.

Importable without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.data.reference import parse_data_reference
from tlvcli.methods.table import TransferMethod, find_method

# In the order in which `tlv transfer` takes them, and whether they look at images.
STEPS = {"rescale": False, "fit": True, "calibrate": True}


@dataclass(frozen=True)
class Start:
    """A transfer method, and the steps after its mapping in their own order."""

    method: TransferMethod
    steps: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """The words joined by +, each start in one way."""
        return "+".join((self.method.name, *self.steps))

    @property
    def reads_source(self) -> bool:
        """Whether another source makes another start."""
        return not self.method.is_baseline or "fit" in self.steps

    def settings(self, data: str) -> dict[str, Any]:
        """Return the settings of `tlv transfer` that say so; steps see the training images, as many as they want."""
        return {
            "method": self.method.name,
            **{step: {"data": _any_number(data)} if STEPS[step] else True for step in self.steps},
        }


def parse_start(text: str) -> Start:
    """Take METHOD+STEP+STEP apart.

    Raises:
        TlvError: `method-unknown`, or `step-unknown`.
    """
    name, *steps = text.split("+")
    for step in steps:
        if step not in STEPS:
            raise TlvError("step-unknown", f"{text}: {step!r} follows no mapping", did_you_mean(step, STEPS))
    return Start(find_method(name), tuple(step for step in STEPS if step in steps))


def _any_number(data: str) -> str:
    """Return the data without the N of @SPLIT:N, which says how many are trained on."""
    return data if parse_data_reference(data).num_images is None else data.rpartition(":")[0]

"""Tensors into a module, by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn


def load_state(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy `tensors` into the module's own, all or some of them; what is not named stays as it is.

    Raises:
        RuntimeError: a name or a shape that the module does not have.
    """
    # The module's own dictionary carries the versions of its layers, without which some, as MNASNet, refuse to load.
    state = module.state_dict()
    state.update(tensors)
    module.load_state_dict(state)

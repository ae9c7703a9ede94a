"""Layers that start afresh although the checkpoint has weights for them: the last ones, counted from the output."""

from __future__ import annotations

from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.network import Network


def new_tensors(network: Network, num_layers: int) -> tuple[str, ...]:
    """Return the tensors of the last `num_layers` units; the classifier is layer 1.

    Raises:
        TlvError: `layers-too-many`.
    """
    num_units = len(network.units)
    if num_layers > num_units:
        raise TlvError(
            "layers-too-many",
            f"new_layers is {num_layers}, but the network has {num_units} layers to start afresh",
            f"--new-layers takes 0 to {num_units}; the classifier is layer 1",
        )
    return tuple(name for unit in network.units[num_units - num_layers :] for name in unit.tensors)

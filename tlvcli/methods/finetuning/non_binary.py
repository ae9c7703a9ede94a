"""Non-binary transfer learning: how many layers to start afresh, and three rates instead of frozen or not.

Plested, Shen, Gedeon 2021, Rethinking Binary Hyperparameters for Deep Transfer Learning (arXiv 2107.08585). Layers are
the network's units, counted from the output with the classifier as layer 1. The authors' code knows one network,
inception_v4; ours is corrected where theirs counts one layer too many as new, and decays new layers twice.
"""

from __future__ import annotations

from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.network import Network
from tlvcli.methods.finetuning.new_layers import new_tensors
from tlvcli.methods.finetuning.options import NonBinaryOptions
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase, make_groups


def non_binary(network: Network, *, options: NonBinaryOptions, rates: tuple[float, ...] = (1.0,)) -> FinetunePlan:
    """Return a plan with the last `new_layers` units reinitialised and a rate for each part.

    `rates` are multiples of the run's, one, or those of the head, the high layers and the low ones, which are the first
    `num_lowlrs` units. What has the rate 0 is frozen, statistics and dropout too.

    Raises:
        TlvError: `layers-too-many`.
    """
    units, num_low = network.units, options.num_lowlrs or 0
    _refuse(network, options)
    head, high, low = rates if len(rates) == 3 else rates * 3
    rate_of = {"head": head, "high": high, "low": low}
    parts = ["head" if unit is units[-1] else "low" if k < num_low else "high" for k, unit in enumerate(units)]
    places = [
        (name, part, rate_of[part])
        for part, unit in zip(parts, units, strict=True)
        for name in unit.tensors
        if name in network.dimensions and rate_of[part] > 0
    ]
    still = [module for part, unit in zip(parts, units, strict=True) if rate_of[part] == 0 for module in unit.modules]
    return FinetunePlan(
        "non-binary",
        (Phase(make_groups(places, network.dimensions), tuple(still)),),
        reinitialised=new_tensors(network, options.new_layers),
    )


def _refuse(network: Network, options: NonBinaryOptions) -> None:
    num_units = len(network.units)
    if (options.num_lowlrs or 0) > num_units - 1:
        raise TlvError(
            "layers-too-many",
            f"num_lowlrs is {options.num_lowlrs}, but the network has {num_units - 1} layers before its classifier",
            f"--num-lowlrs takes 0 to {num_units - 1}, counted from the input",
        )

"""Rates that fall from the output to the input: what lies deep in the network is the more general.

Layer-wise learning-rate decay as in ELECTRA and BEiT, over the units of any network.
"""

from __future__ import annotations

from tlvcli.methods.finetuning.network import Network
from tlvcli.methods.finetuning.options import LayerDecayOptions
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase, make_groups


def layer_decay(network: Network, *, options: LayerDecayOptions) -> FinetunePlan:
    """Return a plan in which the classifier trains at the full rate, and unit k before it at decay^k of it."""
    places = [
        (name, unit.name, options.layer_decay**depth)
        for depth, unit in enumerate(reversed(network.units))
        for name in unit.tensors
        if name in network.dimensions
    ]
    return FinetunePlan("layer-decay", (Phase(make_groups(places, network.dimensions)),))

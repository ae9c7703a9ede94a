"""Train all weights: the baseline every other strategy is measured against."""

from __future__ import annotations

from tlvcli.methods.finetuning.network import Network
from tlvcli.methods.finetuning.new_layers import new_tensors
from tlvcli.methods.finetuning.options import FullOptions
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase, make_groups


def full(network: Network, *, options: FullOptions) -> FinetunePlan:
    """Return a plan in which every parameter trains; a fresh head, which has everything to learn, trains faster.

    Raises:
        TlvError: `layers-too-many`.
    """
    new = new_tensors(network, options.new_layers)
    fresh = network.fresh | (network.head & set(new))
    places = (
        (name, "fresh head", options.head_rate) if name in fresh else (name, "all", 1.0) for name in network.dimensions
    )
    return FinetunePlan("full", (Phase(make_groups(places, network.dimensions)),), reinitialised=new)

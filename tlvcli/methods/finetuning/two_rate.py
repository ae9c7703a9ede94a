"""A small learning rate for the backbone, a large one for the head."""

from __future__ import annotations

from tlvcli.methods.finetuning.network import Network, modules_without
from tlvcli.methods.finetuning.new_layers import new_tensors
from tlvcli.methods.finetuning.options import TwoRateOptions
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase, make_groups


def two_rate(network: Network, *, options: TwoRateOptions) -> FinetunePlan:
    """Return a plan in which head and new layers train at the full rate; a backbone at rate 0 is frozen.

    Raises:
        TlvError: `layers-too-many`.
    """
    new, scale = new_tensors(network, options.new_layers), options.backbone_lr_scale
    ahead = network.head | set(new)
    places = (
        (name, "head", 1.0)
        if name in network.head
        else (name, "new layers", 1.0)
        if name in ahead
        else (name, "backbone", scale)
        for name in network.dimensions
        if scale > 0 or name in ahead
    )
    still = () if scale > 0 else tuple(modules_without(frozenset(ahead), network.tree))
    return FinetunePlan("two-rate", (Phase(make_groups(places, network.dimensions), still),), reinitialised=new)

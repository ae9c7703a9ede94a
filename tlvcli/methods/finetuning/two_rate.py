"""A small learning rate for the backbone, a large one for the head."""

from __future__ import annotations

from tlvcli.methods.finetuning.linear_probe import linear_probe
from tlvcli.methods.finetuning.network import Network
from tlvcli.methods.finetuning.options import LinearProbeOptions, TwoRateOptions
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase, make_groups


def two_rate(network: Network, *, options: TwoRateOptions) -> FinetunePlan:
    """Return a plan in which the head trains at the full rate; a backbone at rate 0 is frozen."""
    scale = options.backbone_lr_scale
    if scale == 0:
        return FinetunePlan("two-rate", linear_probe(network, options=LinearProbeOptions()).phases)
    places = ((name, "head", 1.0) if name in network.head else (name, "backbone", scale) for name in network.dimensions)
    return FinetunePlan("two-rate", (Phase(make_groups(places, network.dimensions)),))

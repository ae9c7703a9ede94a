"""Only the head learns; the backbone gives it features that never change."""

from __future__ import annotations

from tlvcli.methods.finetuning.network import Network, modules_without
from tlvcli.methods.finetuning.options import LinearProbeOptions
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase, make_groups


def linear_probe(network: Network, *, options: LinearProbeOptions) -> FinetunePlan:
    """Return a plan that trains the head and has every module without a part of it compute as in evaluation.

    So batch normalisation keeps its statistics, and dropout is off: of one image, the head always sees one vector.
    """
    return FinetunePlan("linear-probe", (probe_phase(network),))


def probe_phase(network: Network, *, epochs: int | None = None) -> Phase:
    """Return epochs in which only the head trains."""
    head = [name for name in network.dimensions if name in network.head]
    groups = make_groups(((name, "head", 1.0) for name in head), network.dimensions)
    return Phase(groups, tuple(modules_without(frozenset(head), network.tree)), epochs)

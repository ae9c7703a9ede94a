"""LP-FT: first the head alone, then everything at a small rate.

Kumar et al. 2022, Fine-Tuning can Distort Pretrained Features: while the head is random, its gradients tear at features
that would have served images unlike those at hand. A head that has been trained first leaves them in place.
"""

from __future__ import annotations

from tlvcli.methods.finetuning.linear_probe import probe_phase
from tlvcli.methods.finetuning.network import Network
from tlvcli.methods.finetuning.options import ProbeThenTuneOptions
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase, make_groups


def probe_then_tune(network: Network, *, options: ProbeThenTuneOptions) -> FinetunePlan:
    """Return a plan of two phases, each with its own optimiser and its own schedule."""
    places = ((name, "all", options.tune_lr_scale) for name in network.dimensions)
    tune = Phase(make_groups(places, network.dimensions))
    return FinetunePlan("lp-ft", (probe_phase(network, epochs=options.probe_epochs), tune))

"""Rates that a plan across families recommends: kernels whose scale is free learn at one pace.

In front of a normalisation the scale of a kernel changes no output, but an optimiser like Adam steps as far in a
kernel of any scale: relative to its spread, one of wide spread learns slowly. He's initialisation spreads narrow layers
and 1x1 shortcuts several times as wide as the widest layers. LARS and LAMB (You et al. 2017, 2020) scale every layer's
steps by the norm of its weights for this reason; here it is said once, as multiples of the learning rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tlvcli.core.channels import ChannelGroups
from tlvcli.methods.coherent.blocks import is_depthwise, weight_of

if TYPE_CHECKING:
    from torch import Tensor

    from tlvcli.core.plan import PlanRow


def even_rates(rows: Iterable[PlanRow], target: Mapping[str, Tensor], groups: ChannelGroups) -> dict[str, float]:
    """Return for each dense kernel in front of a normalisation its spread in those of the kernel of smallest spread.

    Spreads are those that the rows give, and the target's own (`target` holds its tensors) where they keep it. Layers
    whose multiple is 1 are left out: none learns faster, relative to its spread, than the fastest does anyway.
    """
    given = {row.tensor: float(row.parameters["std"]) for row in rows if "std" in row.parameters}
    spreads = {}
    for site in groups.sites.values():
        layer = site.reads
        if site.operation not in ("batch-norm", "norm") or layer is None or is_depthwise(layer, groups):
            continue
        name = weight_of(layer)
        spread = given[name] if name in given else float(target[name].std(correction=0))
        if spread > 0:
            spreads[layer] = spread
    smallest = min(spreads.values(), default=1.0)
    rates = {layer: round(spread / smallest, 1) for layer, spread in spreads.items()}
    return {layer: rate for layer, rate in rates.items() if rate > 1.0}

"""Weights at the variance of He's initialisation, whatever scale they had in the source."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn

from tlvcli.core.graph import LayerKind, ModelGraph
from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.methods.adaptation.outcome import Adaptation, AdaptedLayer

if TYPE_CHECKING:
    from torch import Tensor

_KINDS: tuple[LayerKind, ...] = ("conv1d", "conv2d", "conv3d", "depthwise-conv2d", "conv-transpose", "linear")
# What lets signals pass as they are knows nothing of a scale.
_NOT_FED = {"constant": "set to a constant", "dirac": "passes on what it reads"}


def rescale(module: nn.Module, plan: TransferPlan, graph: ModelGraph) -> Adaptation:
    """Scale the weight of every convolution and linear layer that the source feeds to He's standard deviation.

    He et al. 2015: Delving Deep into Rectifiers, equations 10 and 14. Each weight is multiplied by one number; its
    mean goes along, biases stay.

    Args:
        module: the target as the plan has made it; not written to.
        plan: what became of every tensor.
        graph: the target's.
    """
    rows = {row.tensor: row for row in plan.rows}
    state: dict[str, Tensor] = {}
    layers: list[AdaptedLayer] = []
    for layer in graph.of_kind(*_KINDS):
        spec = layer.find("weight")
        assert spec is not None, "a layer without a weight of its own is of another kind"
        weight = module.get_parameter(spec.name).detach()
        before = float(weight.double().std(correction=0))
        why = _why_left(rows[spec.name], before)
        if why:
            layers.append(AdaptedLayer(layer.name, "weight std", None, None, why))
            continue
        state[spec.name] = weight * (he_std(module.get_submodule(layer.name)) / before)
        after = float(state[spec.name].double().std(correction=0))
        layers.append(AdaptedLayer(layer.name, "weight std", before, after))
    return Adaptation(state, tuple(layers))


def he_std(layer: nn.Module) -> float:
    """Return sqrt(2 / fan): of a convolution how many outputs an input reaches, of a linear layer its inputs.

    These are the fans of torchvision's convolutions and of He's forward case. A group reaches its own outputs only,
    where torch's `kaiming_normal_` counts those of all groups.
    """
    if isinstance(layer, nn.Linear):
        return math.sqrt(2.0 / layer.in_features)
    assert isinstance(layer, nn.modules.conv._ConvNd), "no other layer has a weight to rescale"
    return math.sqrt(2.0 * layer.groups / (layer.out_channels * math.prod(layer.kernel_size)))


def _why_left(row: PlanRow, std: float) -> str:
    """Return why a weight is not rescaled, or nothing."""
    if row.operation == "keep":
        return row.reason
    if row.operation in _NOT_FED:
        return f"left: {_NOT_FED[row.operation]}"
    return "" if std > 0 else "left: all its values are the same"

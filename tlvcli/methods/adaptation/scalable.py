"""Which weights calibration may scale, and why not the others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd

from tlvcli.core.plan import TransferPlan
from tlvcli.methods.adaptation.passes import run_pass

_NORMALISATIONS = (_NormBase, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
# What is a network already, and what passes on what it reads.
_KEPT_WHOLE = {"copy": "copied whole", "constant": "set to a constant"}


def weighted_layers(module: nn.Module) -> dict[str, nn.Module]:
    """Return the convolutions and linear layers whose weight is a tensor of their own, in the network's order."""
    return {
        name: layer
        for name, layer in module.named_modules()
        if isinstance(layer, (_ConvNd, nn.Linear)) and "weight" in dict(layer.named_parameters(recurse=False))
    }


def reasons_to_leave(
    module: nn.Module,
    images: Tensor,
    plan: TransferPlan,
    *,
    head: Collection[str],
    fitted: Collection[str],
    is_trained: bool,
) -> dict[str, str]:
    """Return why a convolution or linear layer is not to be scaled, for those for which there is a reason.

    Args:
        module: the target, in evaluation mode.
        images: two or more [n, channels, h, w]; what the network calls on them decides what a normalisation follows.
        plan: what became of every tensor.
        head: tensors whose shape follows the number of classes.
        fitted: layers that were fitted to the source.
        is_trained: whether what the plan keeps of the target has learned something.
    """
    layers = weighted_layers(module)
    called, normalised = _trace(module, layers, images)
    rows = {row.tensor: row for row in plan.rows}
    reasons: dict[str, str] = {}
    for name in layers:
        row = rows[f"{name}.weight"]
        if name not in called:
            reasons[name] = "never called in evaluation"
        elif name in normalised:
            reasons[name] = "a normalisation follows"
        elif row.tensor in head:
            reasons[name] = "the head"
        elif name in fitted:
            reasons[name] = "fitted"
        elif row.operation in _KEPT_WHOLE:
            reasons[name] = _KEPT_WHOLE[row.operation]
        elif row.operation == "keep" and is_trained:
            reasons[name] = "as the target checkpoint has it"
    return reasons


def _trace(module: nn.Module, layers: Mapping[str, nn.Module], images: Tensor) -> tuple[set[str], set[str]]:
    """Return which layers are called, and whose output a normalisation takes as it is."""
    called: set[str] = set()
    normalised: set[str] = set()
    written: dict[int, tuple[str, Tensor, int]] = {}

    def leave(name: str) -> Any:
        def note(_layer: nn.Module, _args: tuple[Any, ...], output: Tensor) -> None:
            called.add(name)
            # Kept alive, or another tensor could get the same identity; its version tells what was written into it.
            written[id(output)] = (name, output, output._version)

        return note

    def enter(_layer: nn.Module, args: tuple[Any, ...]) -> None:
        name, output, version = written.get(id(args[0]) if args else 0, ("", images, -1))
        if output._version == version:
            normalised.add(name)

    norms = (name for name, layer in module.named_modules() if isinstance(layer, _NORMALISATIONS))
    run_pass(module, [images], enter=dict.fromkeys(norms, enter), leave={name: leave(name) for name in layers})
    return called, normalised

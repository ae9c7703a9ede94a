"""Which parts of a network learn, and which compute as in evaluation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.methods.finetuning.plan import FinetunePlan, Phase

if TYPE_CHECKING:
    from torch import nn


def set_modes(module: nn.Module, phase: Phase) -> None:
    """Put the module into training, and what is frozen into evaluation mode, without gradients."""
    module.train()
    trained = {name for group in phase.groups for name in group.parameters}
    for name, parameter in module.named_parameters():
        parameter.requires_grad_(name in trained)
        parameter.grad = None if name not in trained else parameter.grad
    for name in phase.frozen:
        module.get_submodule(name).eval()


def learns_statistics(module: nn.Module, plan: FinetunePlan) -> bool:
    """Return whether in any phase a layer takes its statistics from the batch."""
    from torch.nn.modules.batchnorm import _BatchNorm

    layers = [name for name, layer in module.named_modules() if isinstance(layer, _BatchNorm)]
    return any(not _is_frozen(layer, phase) for phase in plan.phases for layer in layers)


def changing_tensors(module: nn.Module, plan: FinetunePlan) -> frozenset[str]:
    """Return the names in the state_dict of what training may change: trained parameters, and buffers not frozen."""
    parameters = dict(module.named_parameters())
    return frozenset(
        name
        for name in module.state_dict()
        if name in plan.trained
        or (name not in parameters and any(not _is_frozen(name, phase) for phase in plan.phases))
    )


def _is_frozen(name: str, phase: Phase) -> bool:
    return any(f"{name}.".startswith(f"{frozen}.") for frozen in phase.frozen)

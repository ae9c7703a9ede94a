"""From the settings of a run to its fine-tuning plan: strategy, regulariser and masks put together."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import InputInfo
from tlvcli.io.checkpoint import Checkpoint, hash_checkpoint, open_checkpoint
from tlvcli.methods.finetuning.l2_sp import hold_to_start
from tlvcli.methods.finetuning.masks import resolve_masks
from tlvcli.methods.finetuning.network import Network
from tlvcli.methods.finetuning.options import numbers_of
from tlvcli.methods.finetuning.plan import FinetunePlan
from tlvcli.methods.finetuning.recommended import with_recommended_rates
from tlvcli.methods.finetuning.table import Strategy
from tlvcli.methods.finetuning.units import find_units
from tlvcli.models.builders import build
from tlvcli.models.call_trace import trace_calls
from tlvcli.models.graph import graph_of_module
from tlvcli.models.head import head_tensors
from tlvcli.models.load_state import load_state
from tlvcli.pipelines.training.config import TrainConfig
from tlvcli.pipelines.training.optimizers import OptimizerName

if TYPE_CHECKING:
    from torch import nn

    from tlvcli.core.graph import ModelGraph

MASK_KIND = "mask"
_STEPS_OF_ONE_SIZE: tuple[OptimizerName, ...] = ("adam", "adamw")


def plan_finetuning(
    config: TrainConfig,
    strategy: Strategy,
    options: Config,
    module: nn.Module,
    architecture: Architecture,
    *,
    fresh: Set[str],
    image_size: int,
    recommended: Mapping[str, float] | None = None,
) -> FinetunePlan:
    """Return which parameters of `module` train, how, and what holds them; `config` is resolved.

    `fresh` tensors have just been initialised; `image_size` in pixels is for finding the order of the layers.
    `recommended` are rates that the checkpoint brings, which a linear probe, whose head is all that moves, leaves.
    Those above 1 make up for steps of one size in kernels of any scale, which SGD's are not.

    Raises:
        TlvError: what the strategy, L2-SP or a mask refuses.
    """
    graph = graph_of_module(module)
    network = see_network(module, graph, architecture, fresh=fresh, image_size=image_size)
    by_part = {"rates": tuple(rate / config.peak for rate in config.rates)} if strategy.parts else {}
    plan = strategy.load_function()(network, options=options, **by_part)
    if recommended and config.recommended_rates and strategy.name != "linear-probe":
        new = fresh | set(plan.reinitialised)
        rates = recommended if config.optimizer in _STEPS_OF_ONE_SIZE else _without_haste(recommended)
        plan = with_recommended_rates(plan, rates, list(network.dimensions), fresh=new)
    if config.l2sp is not None:
        plan = hold_to_start(plan, numbers_of(config.l2sp), new=fresh | set(plan.reinitialised))
    if config.mask is not None:
        file = _open_mask(Path(config.mask))
        masks = resolve_masks(graph, {spec.name: file.read(spec.name).tolist() for spec in file.specs})
        plan = replace(plan, masks=masks, mask_scale=config.mask_scale or 0.0)
    _refuse_phases(plan, config)
    _refuse_new_in_masks(plan, fresh)
    return plan


def _without_haste(rates: Mapping[str, float]) -> dict[str, float]:
    return {layer: min(rate, 1.0) for layer, rate in rates.items()}


def see_network(
    module: nn.Module, graph: ModelGraph, architecture: Architecture, *, fresh: Set[str], image_size: int
) -> Network:
    """Return the network as strategies see it; a pass over shapes alone tells the order of its layers."""
    assert graph.tree, "a graph of a module has a tree"
    head = head_tensors(architecture)
    calls, _ = trace_calls(module, (1, architecture.in_chans, image_size, image_size), with_values=False)
    return Network(
        dimensions={name: parameter.ndim for name, parameter in module.named_parameters()},
        tree=graph.tree,
        head=head,
        fresh=fresh,
        units=find_units(graph, head, [call.name for call in calls]),
    )


def describe_mask(path: Path) -> InputInfo:
    """Return the report's entry for a mask.

    Raises:
        TlvError: `mask-invalid`, or whatever is wrong with the file.
    """
    file = _open_mask(path)
    return InputInfo(
        role="mask", path=str(path), sha256=hash_checkpoint(file), format=file.format, tensors=len(file.specs)
    )


def _open_mask(path: Path) -> Checkpoint:
    file = open_checkpoint(path)
    if file.metadata.get("tlv_kind") != MASK_KIND:
        raise TlvError("mask-invalid", f"{path} is no mask", "a mask is a safetensors file with tlv_kind=mask")
    for spec in file.specs:
        if spec.dtype != "uint8" or len(spec.shape) != 1:
            raise TlvError(
                "mask-invalid",
                f"{path}: {spec.name} is {spec.dtype} {list(spec.shape)}",
                "a mask holds for each weight one uint8 per output channel, 1 for frozen",
            )
    return file


def reinitialise(module: nn.Module, plan: FinetunePlan, architecture: Architecture, *, seed: int) -> None:
    """Write the architecture's own initialisation from `seed` into the tensors that the plan wants afresh."""
    if not plan.reinitialised:
        return
    new = build(architecture, seed=seed).state_dict()
    load_state(module, {name: new[name] for name in plan.reinitialised})


def _refuse_phases(plan: FinetunePlan, config: TrainConfig) -> None:
    """Raise where a phase has no epochs left, or none but those of the warm-up."""
    for phase in plan.phases[:-1]:
        assert phase.epochs is not None, "only the last phase takes the rest"
        rest = config.epochs - phase.epochs
        shorter = min(phase.epochs, rest)
        if rest < 1:
            raise TlvError(
                "config-invalid",
                f"a first phase of {phase.epochs} epochs leaves nothing of {config.epochs} epochs",
                "fewer --probe-epochs, or more --epochs",
            )
        if config.warmup_epochs is not None and config.warmup_epochs >= shorter:
            raise TlvError(
                "config-invalid",
                f"warmup_epochs: {config.warmup_epochs:g} leaves nothing of a phase of {shorter} epochs",
                "every phase has a warm-up of its own; --set warmup_epochs=0.5",
            )
    if not plan.trained:
        raise TlvError("nothing-to-train", "no parameter is left to train", "tlv train --dry-run shows the rates")


def _refuse_new_in_masks(plan: FinetunePlan, fresh: Set[str]) -> None:
    new = fresh | set(plan.reinitialised)
    frozen = sorted(mask.tensor for mask in plan.masks if mask.tensor in new and mask.rows)
    if frozen:
        raise TlvError(
            "mask-mismatch",
            f"the mask would freeze channels of {frozen[0]}, which start afresh",
            "masks are for pretrained kernels; fewer --new-layers, or a mask without this layer",
        )

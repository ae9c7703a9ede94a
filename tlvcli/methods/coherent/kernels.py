"""Blocks of the source as something to read kernels from, and the rows of a plan that do so."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod, sqrt

import torch
from torch import Tensor

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.graph import TensorSpec
from tlvcli.core.plan import Mapped, PlanRow
from tlvcli.core.runtime import derive_seed
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.coherent.assign import choose
from tlvcli.methods.coherent.blocks import Block, dense_layers, is_depthwise, read, weight_of, written
from tlvcli.methods.coherent.collapse import Step, compose

_KERNEL = 3  # kernels are judged at this size
_MOST_INPUTS = 512  # and by no more inputs


@dataclass(frozen=True, eq=False)
class Composition:
    """A block's layers in a numbering of its own; `inputs` and `outputs` are numbers in the order of the block's.

    With `loop`, what the block passes on past its layers is part of its kernel.
    """

    steps: tuple[Step, ...]
    inputs: Tensor
    outputs: Tensor
    loop: bool
    main: str


def composition_of(block: Block, groups: ChannelGroups, *, loop: bool) -> Composition:
    """Return a block's layers; without `loop`, those beside its residual branch are left out."""
    layers = [layer for layer in block.layers if loop or layer not in block.shortcuts]
    every = [block.reads, block.writes, *(end(layer, groups) for layer in layers for end in (read, written))]
    channels = torch.unique(torch.cat(every))
    number = torch.full((groups.num_channels,), -1).index_copy(0, channels, torch.arange(len(channels)))
    now, used = number, len(channels)
    steps = []
    for layer in layers:
        norm = next((n for n, s in groups.sites.items() if s.operation == "batch-norm" and s.reads == layer), None)
        epsilon = groups.sites[norm].epsilon if norm else None
        reads, writes = read(layer, groups), written(layer, groups)
        ends = now[reads], number[writes]
        if is_depthwise(layer, groups):
            # It writes the channels that it reads, which live on beside a residual branch: numbers of its own.
            ends = ends[0], torch.arange(used, used + len(writes))
            now, used = now.index_copy(0, writes, ends[1]), used + len(writes)
        steps.append(Step(weight_of(layer), norm, *ends, epsilon or 0.0))
    outputs = number if block.is_residual else now
    main = (dense_layers(layers, groups) or layers)[-1]
    return Composition(tuple(steps), number[block.reads], outputs[block.writes], loop, weight_of(main))


def filter_variances(made: Composition, source: TensorSource) -> Tensor:
    """Return the variance [out] of each of a block's filters over inputs and kernel."""
    inputs = made.inputs[choose(len(made.inputs), min(len(made.inputs), _MOST_INPUTS), None)]
    kernel = compose(made.steps, source, made.outputs, inputs, limits=(_KERNEL, _KERNEL), loop=made.loop)
    return kernel.flatten(1).var(1, correction=0)


@dataclass(frozen=True)
class Start:
    """How kernels start: noise in spreads of the kernel, the seed of all streams, and what sets their scale.

    `is_normalised` says that a normalisation follows, so that the scale sets no output.
    """

    noise: float
    seed: int
    is_normalised: bool


def collapse_row(
    tensor: TensorSpec,
    made: Composition,
    outputs: Tensor,
    inputs: Tensor,
    start: Start,
    *,
    extra: Mapping[str, int | float | str],
    components: Tensor | None = None,
) -> Mapped:
    """Return the row of a weight that takes positions `outputs` [out] and `inputs` [in] of a block's kernel.

    Positions below 0 stay the target's own.
    """
    arrays = _arrays(made, outputs, inputs)
    if components is not None:
        arrays["components"] = components
    parameters = {**_steps(made), "fit": "crop", **_scale(tensor, start), **extra}
    taken = 1.0 if extra.get("part") == "depthwise" else _share(outputs, inputs)
    what = " > ".join(step.weight.removesuffix(".weight") for step in made.steps[:4])
    more = f" > and {len(made.steps) - 4} more" if len(made.steps) > 4 else ""
    reason = f"{what}{more}" + (" collapsed" if len(made.steps) > 1 else "") + _PARTS.get(str(extra.get("part")), "")
    return _mapped(tensor, made.main, "collapse", parameters, taken, reason, arrays)


def resize_row(tensor: TensorSpec, made: Composition, outputs: Tensor, inputs: Tensor) -> Mapped:
    """Return the row of a weight that takes a source weight's kernels in another size, at their own scale."""
    reason = f"{made.main}: kernels in another size"
    parameters = {**_steps(made), "fit": "resize"}
    arrays = _arrays(made, outputs, inputs)
    return _mapped(tensor, made.main, "collapse", parameters, _share(outputs, inputs), reason, arrays)


def _steps(made: Composition) -> dict[str, int | float | str]:
    names = [f"{step.weight}@{step.norm}" if step.norm else step.weight for step in made.steps]
    epsilon = next((step.epsilon for step in made.steps if step.norm), 0.0)
    return {"steps": " ".join(names), "epsilon": epsilon, "loop": int(made.loop)}


def _arrays(made: Composition, outputs: Tensor, inputs: Tensor) -> dict[str, Tensor]:
    reads = {f"reads{number}": step.reads for number, step in enumerate(made.steps)}
    writes = {f"writes{number}": step.writes for number, step in enumerate(made.steps)}
    return {
        **reads,
        **writes,
        "outputs": _look_up(made.outputs, outputs),
        "inputs": _look_up(made.inputs, inputs),
    }


def _share(outputs: Tensor, inputs: Tensor) -> float:
    return float((outputs >= 0).double().mean() * (inputs >= 0).double().mean())


def dirac_row(tensor: TensorSpec, outputs: Tensor, inputs: Tensor, start: Start) -> Mapped:
    """Return the row of a weight that passes on what it reads: the same positions on both sides."""
    known = torch.isin(outputs, inputs[inputs >= 0])
    arrays = {"outputs": outputs.where(known, torch.tensor(-1)), "inputs": inputs}
    reason = "Dirac: passes on the channels of the block"
    return _mapped(tensor, None, "dirac", _scale(tensor, start), 0.0, reason, arrays)


_PARTS = {
    "depthwise": ", the spatial part of its kernel for each input",
    "pointwise": ", what each output takes of the spatial parts",
}


def _scale(tensor: TensorSpec, start: Start) -> dict[str, int | float | str]:
    is_depthwise = len(tensor.shape) > 2 and tensor.shape[1] == 1
    # Of the two fans the larger: a Dirac kernel that takes few of many channels should not amplify them.
    fan = prod(tensor.shape[2:]) * (1 if is_depthwise else max(tensor.shape[:2]))
    seed = derive_seed(start.seed, "coherent", tensor.name)
    scale: dict[str, int | float | str] = {"noise": start.noise, "seed": seed}
    return scale | ({"scale": "std", "std": sqrt(2.0 / fan)} if start.is_normalised else {"scale": "signal"})


def _look_up(numbers: Tensor, positions: Tensor) -> Tensor:
    return numbers[positions.clamp_min(0)].where(positions >= 0, torch.tensor(-1))


def _mapped(
    tensor: TensorSpec,
    source: str | None,
    operation: str,
    parameters: Mapping[str, int | float | str],
    taken: float,
    reason: str,
    arrays: Mapping[str, Tensor],
) -> Mapped:
    row = PlanRow.model_validate(
        {
            "tensor": tensor.name,
            "shape": tensor.shape,
            "source": source if taken else None,
            "operation": operation,
            "parameters": dict(parameters),
            "transferred": taken,
            "reason": reason,
        }
    )
    return Mapped((row,), {f"{tensor.name}:{role}": array for role, array in arrays.items()})

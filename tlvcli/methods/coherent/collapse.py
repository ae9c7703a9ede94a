"""Carrying out `collapse` and `dirac`: a block of the source as one kernel, at the scale the target starts with.

A row of `collapse` says which convolutions and linear layers to run through (`steps`: WEIGHT or WEIGHT@NORM, which is
folded in) and which of the block's channels each of them reads and writes; biases and activations are left out. A row
of `dirac` says the same of no layers at all: what comes in goes out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.core.tensors import TensorSource

if TYPE_CHECKING:
    from torch import Tensor

_NO_LIMIT = 99
_MEAN, _VARIANCE = 0.3989, 0.3408  # of a rectified standard normal variable
_LEAST_SIZE = 3  # kernels on the way are cut to this or to the target's size, so that two 3x3 in turn are exact


@dataclass(frozen=True, eq=False)
class Step:
    """A layer of a block: its weight, the batch normalisation behind it, and the block's channels it connects."""

    weight: str
    norm: str | None
    reads: Tensor
    writes: Tensor
    epsilon: float


def collapse(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    """Return the kernel [out, in, kh, kw] of a row, or the matrix [out, in] of a linear layer.

    Arrays: `inputs` [in] and `outputs` [out] are channels of the block, `inputs` [out, in] where a convolution is
    grouped; below 0 the target keeps its own. With `colours: sum` the target's one input stands for all `inputs`.
    `components` [channels] say which singular vector of its spatial part a depthwise (`part: depthwise`) or the
    pointwise convolution behind it (`part: pointwise`) takes.
    """
    outputs, inputs = plan.array(row, "outputs"), plan.array(row, "inputs")
    assert outputs is not None
    assert inputs is not None
    size = tuple(own.shape[2:]) or (1, 1)
    part, components = row.parameters.get("part", "whole"), plan.array(row, "components")
    if row.operation == "dirac":
        value = _dirac(outputs, inputs, size)
    else:
        how = str(row.parameters["fit"])
        spatial = (int(row.parameters.get("height", size[0])), int(row.parameters.get("width", size[1])))
        limits = [max(_LEAST_SIZE, extent) if how == "crop" else _NO_LIMIT for extent in spatial]
        loop = bool(row.parameters["loop"])
        kernel = compose(steps_of(row, plan), source, outputs, inputs, limits=limits, loop=loop)
        value = fit(kernel, spatial, how)
        if "colours" in row.parameters:
            value, inputs = value.sum(1, keepdim=True), inputs[:1]
        if components is not None:
            vectors, shares = _separate(value, components)
            value = vectors if part == "depthwise" else shares
    value = scale_to_start(value.reshape(own.shape), row)
    if part == "depthwise":
        return value
    fed = (outputs >= 0)[:, None] & (inputs >= 0)
    return value.where(fed.view(*fed.shape, *[1] * (own.dim() - 2)), own.float())


def scale_to_start(value: Tensor, row: PlanRow) -> Tensor:
    """Add noise of `noise` spreads, and bring the kernel to the `scale` that the row names.

    `std`: all weights have this spread, as before a batch normalisation, where it sets no output but the learning rate;
    `filter`: so has every filter; `signal`: rectified inputs keep their second moment; none: as in the source.
    """
    noise, scale = float(row.parameters.get("noise", 0.0)), row.parameters.get("scale")
    if scale is None:
        return value
    spread = float(value.std(correction=0)) or 1.0
    if noise:
        generator = torch.Generator().manual_seed(int(row.parameters["seed"]))
        value = value + torch.randn(value.shape, generator=generator) * (noise * spread)
    if scale == "filter":
        norms = value.flatten(1).square().mean(1).sqrt().view(-1, *[1] * (value.dim() - 1))
        return torch.where(norms > 0, value * (float(row.parameters["std"]) / norms.clamp_min(1e-30)), value)
    if scale == "signal":
        flat = value.flatten(1)
        moment = _VARIANCE * flat.square().sum(1) + _MEAN**2 * flat.sum(1).square()
        return value / (float(moment.mean().sqrt()) or 1.0)
    return value * (float(row.parameters["std"]) / (float(value.std(correction=0)) or 1.0))


def fit(kernel: Tensor, size: tuple[int, ...], how: str) -> Tensor:
    """Return kernels [..., kh, kw] in another size: amid zeros where larger, `crop` or `resize` where smaller."""
    if how == "resize" and any(have > want for have, want in zip(kernel.shape[2:], size, strict=True)):
        smaller = [min(have, want) for have, want in zip(kernel.shape[2:], size, strict=True)]
        kernel = F.interpolate(kernel, smaller, mode="bilinear", antialias=True)
    margins: list[int] = []
    for have, want in zip(reversed(kernel.shape[2:]), reversed(size), strict=True):
        before = want // 2 - have // 2
        margins += [before, want - have - before]
    return F.pad(kernel, margins)


def _dirac(outputs: Tensor, inputs: Tensor, size: tuple[int, ...]) -> Tensor:
    value = torch.zeros(len(outputs), inputs.shape[-1], *size)
    value[:, :, size[0] // 2, size[1] // 2] = (outputs[:, None] == inputs).float()
    return value


def compose(
    steps: Sequence[Step], source: TensorSource, outputs: Tensor, inputs: Tensor, *, limits: Sequence[int], loop: bool
) -> Tensor:
    """Return a block's kernel [out, in, kh, kw] for some of its channels; copies of an input share it.

    Kernels are cut to `limits` on the way; without `loop`, what reaches its own channel past all layers is left out.
    """
    entries, place, counts = torch.unique(inputs.clamp_min(0), return_inverse=True, return_counts=True)
    highest = max(int(channels.max()) for step in steps for channels in (step.reads, step.writes, outputs, entries))
    state = torch.zeros(len(entries), highest + 1, 1, 1)  # [in, channels of the block, kh, kw]
    state[torch.arange(len(entries)), entries] = 1.0
    changed = torch.zeros(highest + 1, dtype=torch.bool)
    for step, needed in zip(steps, _needed_writes(steps, outputs), strict=True):
        if not bool(needed.any()):
            continue
        weight, writes = _folded(step, source), step.writes
        groups = len(step.reads) // weight.shape[1]
        if groups == 1:
            weight, writes = weight[needed], writes[needed]
        full = [have + extent - 1 for have, extent in zip(state.shape[2:], weight.shape[2:], strict=True)]
        margins = [
            extent - 1 - max(0, whole - limit + 1) // 2
            for extent, whole, limit in zip(weight.shape[2:], full, limits, strict=True)
        ]
        added = F.conv2d(state[:, step.reads], weight.flip(2, 3), padding=margins, groups=groups)
        larger = tuple(max(have, new) for have, new in zip(state.shape[2:], added.shape[2:], strict=True))
        state, added = fit(state, larger, "crop"), fit(added, larger, "crop")
        state = state.index_add(1, writes, added)
        changed[writes] = True
    if not loop:
        own = changed[entries].nonzero().flatten()
        state[own, entries[own], state.shape[2] // 2, state.shape[3] // 2] -= 1.0
    kernel: Tensor = state.transpose(0, 1)[outputs.clamp_min(0)] / counts[None, :, None, None]  # [out, entries, kh, kw]
    if inputs.dim() == 1:
        return kernel.index_select(1, place)
    return kernel[torch.arange(len(outputs))[:, None], place]


def _needed_writes(steps: Sequence[Step], outputs: Tensor) -> list[Tensor]:
    """Return for each layer which of its outputs [out] matter for those of the block."""
    highest = max(int(channels.max()) for step in steps for channels in (step.reads, step.writes, outputs))
    needed = torch.zeros(highest + 1, dtype=torch.bool).index_fill(0, outputs[outputs >= 0], True)
    masks = []
    for step in reversed(steps):
        masks.append(needed[step.writes])
        if bool(masks[-1].any()):
            needed = needed.index_fill(0, step.reads, True)
    return masks[::-1]


def steps_of(row: PlanRow, plan: TransferPlan) -> tuple[Step, ...]:
    """Return the layers that a row runs through."""
    steps = []
    for number, text in enumerate(str(row.parameters["steps"]).split()):
        reads, writes = plan.array(row, f"reads{number}"), plan.array(row, f"writes{number}")
        assert reads is not None
        assert writes is not None
        weight, _, norm = text.partition("@")
        steps.append(Step(weight, norm or None, reads, writes, float(row.parameters["epsilon"])))
    return tuple(steps)


def _folded(step: Step, source: TensorSource) -> Tensor:
    """Return the weight [out, in, kh, kw] with the scale of the batch normalisation behind it, if there is one."""
    weight = source.read(step.weight).float()
    weight = weight.view(*weight.shape, *[1] * (4 - weight.dim()))
    if step.norm is None:
        return weight
    scale = (source.read(f"{step.norm}.running_var").float() + step.epsilon).rsqrt()
    if any(spec.name == f"{step.norm}.weight" for spec in source.specs):
        scale = scale * source.read(f"{step.norm}.weight").float()
    return weight * scale.view(-1, 1, 1, 1)


def _separate(kernel: Tensor, components: Tensor) -> tuple[Tensor, Tensor]:
    """Return for each column m of a kernel [out, m, kh, kw] the singular vector [m, kh * kw] that `components` names.

    The second result [out, m] is how much of it each output takes: summed over all components of an input, vector
    times share is its kernel again.
    """
    flat = kernel.flatten(2)  # [out, m, k]
    gram = torch.einsum("omk,oml->mkl", flat, flat)
    vectors = torch.linalg.eigh(gram).eigenvectors.flip(2)  # columns, the largest first
    chosen = vectors[torch.arange(len(components)), :, components]
    # A sign of their own: what stands for blurring is positive.
    top = chosen.gather(1, chosen.abs().argmax(1, keepdim=True))
    chosen = chosen * torch.where(top < 0, -1.0, 1.0)
    return chosen, torch.einsum("omk,mk->om", flat, chosen)

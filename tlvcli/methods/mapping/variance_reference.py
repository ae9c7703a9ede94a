"""Variance mapping (TLV) as the authors' code at 97aeff8 computes it, bit for bit, where its result is defined.

Same order of draws from one generator, same selections, same shuffles. What their loops do kernel by kernel is one
index map here: entry [o, i] says which kernel the target's kernel [o, i] becomes. Faults that stay: channels are
chosen anew in every filter, `random` draws with replacement and never the last channel, every layer is shuffled
even between equal shapes, the bias does not follow its filters. Where their code crashes, we say so.
"""

from __future__ import annotations

import math
from math import prod
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F
from torch.nn import init

from tlvcli.core.errors import TlvError
from tlvcli.core.plan import LayerMatch, Mapped, PlanRow
from tlvcli.methods.mapping.options import Choice, VarianceReferenceOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor


def map_convolution(
    match: LayerMatch,
    source: Tensor,
    target: Tensor,
    *,
    options: VarianceReferenceOptions,
    generator: Generator,
) -> Mapped:
    """Plan one convolution weight [out, in, k, k]; draws from `generator` in the authors' order."""
    assert match.source is not None
    name = f"{match.target.name}.weight"
    arrays: dict[str, Tensor] = {}
    parameters: dict[str, int | float | str] = {"pad": "zero", "pool": options.pool}
    kernels = _resize(name, source.float(), target, options, generator)
    index = _select(kernels, target, options, generator, arrays, name)
    if index.shape != target.shape[:2]:
        raise _undefined(name, f"{options.keep} chooses {tuple(index.shape)} of {tuple(target.shape[:2])} channels")
    if options.shuffle == "independent":
        # randperm is drawn filter by filter: only so does the stream stay the authors'.
        index = index[torch.randperm(index.shape[0], generator=generator)]
        order = [torch.randperm(index.shape[1], generator=generator) for _ in range(index.shape[0])]
        index = index.gather(1, torch.stack(order))
    if target.shape[2] < target.shape[3]:
        parameters["columns"] = target.shape[2]  # they write a square corner of k x k, k the kernel's height
    arrays[f"{name}:kernels"] = index
    if f"{name}:noise" in arrays:
        parameters["noise_std"] = _fan_out_std(target)
    share = float(((index >= 0) & (index < source.shape[0] * source.shape[1])).double().mean())
    overlap = prod(min(a, b) for a, b in zip(source.shape[2:], target.shape[2:], strict=True)) / prod(target.shape[2:])
    row = PlanRow(
        tensor=name,
        shape=tuple(target.shape),
        source=f"{match.source.name}.weight",
        operation="kernels",
        parameters=parameters,
        transferred=share * overlap,
        reason=f"{match.reason}; {'x'.join(map(str, source.shape))} -> {'x'.join(map(str, target.shape))}",
    )
    return Mapped((row,), arrays)


def map_by_centre(match: LayerMatch, suffix: str, source: Tensor, target: Tensor, *, generator: Generator) -> Mapped:
    """Plan a vector or matrix: the centre of a larger source, random repeats around a smaller one."""
    assert match.source is not None
    name = f"{match.target.name}.{suffix}"
    arrays = {
        f"{name}:index{dim}": _centre_index(have, want, generator)
        for dim, (have, want) in enumerate(zip(source.shape, target.shape, strict=True))
    }
    row = PlanRow(
        tensor=name,
        shape=tuple(target.shape),
        source=f"{match.source.name}.{suffix}",
        operation="gather",
        parameters={},
        transferred=1.0,
        reason=f"{match.reason}; centre of {list(source.shape)} into {list(target.shape)}",
    )
    return Mapped((row,), arrays)


def choose(values: Tensor, mode: Choice, count: int, generator: Generator) -> Tensor:
    """Return the authors' candidates for each row of `values` [rows, channels]; sometimes fewer than `count`."""
    num_channels = values.shape[1]
    if mode == "random":
        return torch.randint(0, num_channels - 1, (values.shape[0], count), generator=generator)
    ranked = values.argsort(dim=1)
    if mode == "max-var":
        return ranked[:, -count:]
    if mode == "min-var":
        return ranked[:, :count]
    if mode == "two-tailed":
        tail = count // 2
        return torch.cat([ranked[:, :tail], ranked[:, -tail:]], dim=1)[:, :count]
    return ranked[:, 1 :: num_channels // count][:, :count]


def _select(
    source: Tensor,
    target: Tensor,
    options: VarianceReferenceOptions,
    generator: Generator,
    arrays: dict[str, Tensor],
    name: str,
) -> Tensor:
    """Return [out, in] kernel indices: source kernels from 0, drawn ones after them, the target's own below 0."""
    (num_out, num_in), (want_out, want_in) = source.shape[:2], target.shape[:2]
    every = torch.arange(num_out * num_in).view(num_out, num_in)
    own = -1 - torch.arange(want_out * want_in).view(want_out, want_in)
    if num_out < want_out and num_in > want_in:
        arrays[f"{name}:noise"] = generator.get_state()
        noise = _draw_noise(source, target, generator)
        return _select_from_noise(source, noise, every, want_in, options, generator)
    if num_out > want_out:
        chosen = choose(_filter_variance(source)[None], options.keep, want_out, generator)[0]
        source, every = source[chosen], every[chosen]
    elif num_out < want_out:
        slots = choose(_filter_variance(target)[None], options.remove, num_out, generator)[0]
        if num_in == want_in:
            rows = _last_writer(slots[None], want_out)[0]  # [want_out], -1 where no filter lands
            return every[rows.clamp_min(0)].where(rows[:, None] >= 0, own)
        return _write_kernels(target, slots, every, own, options, generator)
    if num_in > want_in:
        return every.gather(1, choose(_kernel_variance(source), options.keep, want_in, generator))
    if num_in < want_in:
        slots = choose(_kernel_variance(target), options.remove, num_in, generator)
        columns = _last_writer(slots, want_in)  # [want_out, want_in]
        return every.gather(1, columns.clamp_min(0)).where(columns >= 0, own)
    return every


def _select_from_noise(
    source: Tensor,
    noise: Tensor,
    every: Tensor,
    want_in: int,
    options: VarianceReferenceOptions,
    generator: Generator,
) -> Tensor:
    """More filters but fewer inputs: filters land among He noise first, then every filter drops kernels."""
    num_out, num_in = source.shape[:2]
    slots = choose(_filter_variance(noise)[None], options.remove, num_out, generator)[0]
    rows = _last_writer(slots[None], noise.shape[0])[0]
    drawn = num_out * num_in + torch.arange(noise.shape[0] * num_in).view(noise.shape[0], num_in)
    mixed = every[rows.clamp_min(0)].where(rows[:, None] >= 0, drawn)
    kernels = torch.cat([source.flatten(0, 1), noise.flatten(0, 1)])[mixed]  # [want_out, num_in, k, k]
    return mixed.gather(1, choose(_kernel_variance(kernels), options.keep, want_in, generator))


def _write_kernels(
    target: Tensor,
    slots: Tensor,
    every: Tensor,
    own: Tensor,
    options: VarianceReferenceOptions,
    generator: Generator,
) -> Tensor:
    """Write every source kernel into chosen slots of chosen target filters; a later one overwrites."""
    num_in, want_in = every.shape[1], own.shape[1]
    columns = choose(_kernel_variance(target[slots]), options.remove, num_in, generator)
    places = slots[:, None] * want_in + columns
    sources = every[: places.shape[0], : places.shape[1]]
    index = torch.full((own.numel(),), -1)
    # Sources are written in ascending order, so the last writer is the largest.
    index = index.scatter_reduce(0, places.flatten(), sources.flatten(), "amax")
    return index.view_as(own).where(index.view_as(own) >= 0, own)


def _last_writer(slots: Tensor, width: int) -> Tensor:
    """Return [rows, width]: which position of `slots` [rows, n] was written last to each place, or -1."""
    positions = torch.arange(slots.shape[1]).expand_as(slots)
    return torch.full((slots.shape[0], width), -1).scatter_reduce(1, slots, positions, "amax")


def _resize(
    name: str, source: Tensor, target: Tensor, options: VarianceReferenceOptions, generator: Generator
) -> Tensor:
    (height, width), (want, want_width) = source.shape[2:], target.shape[2:]
    if (height, width) == (want, want_width):
        return source
    if height != width or want != want_width:
        raise _undefined(name, f"a kernel of {height}x{width} does not become {want}x{want_width}")
    # They draw a tensor of this shape and overwrite all of it; the draw moves the stream on.
    torch.randn((*source.shape[:2], want, want), generator=generator)
    if height > want:
        pool = F.avg_pool2d if options.pool == "avg" else F.max_pool2d
        pooled: Tensor = pool(source, kernel_size=height - want + 1, stride=1)
        return pooled
    if (want - height) % 2:
        raise _undefined(name, f"a kernel of {height}x{width} cannot be padded evenly to {want}x{want_width}")
    return F.pad(source, [(want - height) // 2] * 4)


def _draw_noise(source: Tensor, target: Tensor, generator: Generator) -> Tensor:
    shape = (target.shape[0], source.shape[1], target.shape[2], target.shape[2])
    noise = torch.randn(shape, generator=generator)
    return init.kaiming_normal_(noise, mode="fan_out", nonlinearity="relu", generator=generator)


def _fan_out_std(target: Tensor) -> float:
    return math.sqrt(2.0) / math.sqrt(target.shape[0] * target.shape[2] ** 2)  # rounded as torch.nn.init does


def _centre_index(have: int, want: int, generator: Generator) -> Tensor:
    if have > want:
        return (have - want) // 2 + torch.arange(want)
    if have == want:
        return torch.arange(have)
    index = torch.randint(have, (want,), generator=generator)
    start = (want - have) // 2
    index[start : start + have] = torch.arange(have)
    return index


def _filter_variance(weight: Tensor) -> Tensor:
    return weight.var(dim=(1, 2, 3), correction=0)


def _kernel_variance(weight: Tensor) -> Tensor:
    return weight.var(dim=(2, 3), correction=0)


def _undefined(name: str, what: str) -> TlvError:
    return TlvError(
        "reference-undefined",
        f"{name}: the authors' code fails here: {what}",
        "--method tlv is the corrected method and handles it",
    )

"""Carrying out a plan: one vectorised operation for each row, nothing chosen and nothing drawn but what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tlvcli.core.plan import Operation, PlanRow, TransferPlan
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.coherent.collapse import collapse
from tlvcli.methods.coherent.grid import resize_grid

if TYPE_CHECKING:
    from torch import Tensor


def execute(plan: TransferPlan, source: TensorSource, target: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """Yield every target tensor in the plan's order, in the target's dtype; one at a time, inputs untouched."""
    for row in plan.rows:
        value = _OPERATIONS[row.operation](row, plan, source, target[row.tensor])
        yield row.tensor, value.to(target[row.tensor].dtype)


def _keep(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    return own


def _copy(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    return _read(row, source)


def _constant(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    """Fill with `value`, and put one at the positions `ones` [n, dimensions], if any."""
    value = torch.full_like(own, float(row.parameters["value"]))
    ones = plan.array(row, "ones")
    return value if ones is None else value.index_put(tuple(ones.unbind(1)), torch.ones((), dtype=own.dtype))


def _normal(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    generator = torch.Generator()
    state = plan.array(row, "stream")
    if state is None:
        generator.manual_seed(int(row.parameters["seed"]))
    else:
        generator.set_state(state)
    mean, std = float(row.parameters["mean"]), float(row.parameters["std"])
    return torch.empty(row.shape).normal_(mean, std, generator=generator)


def _gather(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    """Index every dimension that has a map, and scale along it; a negative index leaves the target its own.

    With `colours: sum` what all inputs give is added up for one.
    """
    value, fed = _read(row, source).float(), torch.ones([1] * own.dim(), dtype=torch.bool)
    if "colours" in row.parameters:
        value = value.sum(1, keepdim=True)
    for dim in range(own.dim()):
        index = plan.array(row, f"index{dim}")
        if index is not None:
            along = [-1 if other == dim else 1 for other in range(own.dim())]
            value = value.index_select(dim, index.clamp_min(0))
            fed = fed & (index >= 0).view(along)
            scale = plan.array(row, f"scale{dim}")
            if scale is not None:
                value = value * scale.view(along)
    repeats = plan.array(row, "repeats")
    if repeats is not None:
        value = value + _draw_for(repeats, value, row)
    if "shares" in row.parameters:
        value = value + _draw_shares(row, plan, value)
    return value.where(fed, own.float())


def _draw_shares(row: PlanRow, plan: TransferPlan, value: Tensor) -> Tensor:
    """Return noise of `shares` spreads of the value whose sum over all copies of an input is zero."""
    index, scale = plan.array(row, "index1"), plan.array(row, "scale1")
    assert index is not None
    assert scale is not None
    generator = torch.Generator().manual_seed(int(row.parameters["seed"]))
    spread = float(value.std(correction=0)) * float(row.parameters["shares"])
    along = [-1 if dim == 1 else 1 for dim in range(value.dim())]
    is_read = (scale > 0).view(along)
    drawn = torch.randn(value.shape, generator=generator) * spread * is_read
    entries, place = torch.unique(index, return_inverse=True)
    sums = torch.zeros(value.shape[0], len(entries), *value.shape[2:]).index_add(1, place, drawn)
    return (drawn - sums.index_select(1, place) * scale.view(along)) * is_read


def _draw_for(repeats: Tensor, value: Tensor, row: PlanRow) -> Tensor:
    """Return noise for the first dimension's entries at `repeats`, as large as `noise` spreads of the value, else 0."""
    generator = torch.Generator().manual_seed(int(row.parameters["seed"]))
    drawn = torch.randn((len(repeats), *value.shape[1:]), generator=generator)
    spread = float(value.std(correction=0)) * float(row.parameters["noise"])
    return torch.zeros_like(value).index_copy(0, repeats, drawn * spread)


def _kernels(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    """Put source kernels where the maps say, resized to the target's; negative entries keep its own kernels."""
    weight = _read(row, source)
    outputs, inputs, kernels = (plan.array(row, role) for role in ("outputs", "inputs", "kernels"))
    if kernels is not None:
        return _kernels_one_by_one(row, plan, weight, own.float(), kernels)
    assert outputs is not None
    assert inputs is not None
    rows, columns = (outputs >= 0).nonzero().flatten(), (inputs >= 0).nonzero().flatten()
    chosen = weight.index_select(0, outputs[rows]).index_select(1, inputs[columns])
    chosen = _pool(chosen.float(), own.shape[2:], row)
    # Pasted into one copy of the target's own: beside it only the chosen kernels lie in memory.
    value = own.float().clone()
    top, left = ((want - have) // 2 for want, have in zip(own.shape[2:], chosen.shape[2:], strict=True))
    place = (..., slice(top, top + chosen.shape[2]), slice(left, left + chosen.shape[3]))
    is_whole = len(rows) == len(outputs) and len(columns) == len(inputs)
    if chosen.shape[2:] != own.shape[2:] and row.parameters["pad"] == "zero":
        if is_whole:
            value.zero_()
        else:
            value[rows[:, None], columns] = 0.0
    if is_whole:
        value[place] = chosen
    else:
        channels = (rows[:, None], columns)
        value[channels + place[1:]] = chosen
    return value


def _kernels_one_by_one(row: PlanRow, plan: TransferPlan, weight: Tensor, own: Tensor, kernels: Tensor) -> Tensor:
    """Index single kernels: from 0 the source's, then drawn ones, below 0 the target's own at -1 - index."""
    num_source = weight.shape[0] * weight.shape[1]
    flat, flat_own = kernels.flatten(), own.flatten(0, 1)
    chosen = weight.flatten(0, 1).index_select(0, flat.clamp(0, num_source - 1)).float()  # [out * in, kh, kw]
    pooled = _pool(chosen.view(*own.shape[:2], *weight.shape[2:]), own.shape[2:], row)
    value = F.pad(pooled, _margins(pooled.shape[2:], own.shape[2:]))
    if row.parameters["pad"] == "init":
        inside = F.pad(torch.ones(pooled.shape[2:], dtype=torch.bool), _margins(pooled.shape[2:], own.shape[2:]))
        value = value.where(inside, own)
    value = value.flatten(0, 1)
    state = plan.array(row, "noise")
    if state is not None:
        noise = _draw_noise(row, state, own.shape[0] * weight.shape[1], own.shape[2:])
        value = value.where((flat < num_source)[:, None, None], noise[(flat - num_source).clamp_min(0)])
    value = value.where((flat >= 0)[:, None, None], flat_own[(-1 - flat).clamp_min(0)]).view_as(own)
    columns = row.parameters.get("columns")
    if columns is not None:
        value = torch.cat([value[..., : int(columns)], own[..., int(columns) :]], dim=-1)
    return value


def _draw_noise(row: PlanRow, state: Tensor, num_kernels: int, size: torch.Size) -> Tensor:
    generator = torch.Generator()
    generator.set_state(state)
    noise = torch.randn((num_kernels, *size), generator=generator)  # the authors draw twice and use the second
    return noise.normal_(0.0, float(row.parameters["noise_std"]), generator=generator)


def _pool(kernels: Tensor, want: torch.Size, row: PlanRow) -> Tensor:
    """Pool every dimension that is larger than wanted: window have - want + 1, stride 1."""
    window = [max(1, have - wanted + 1) for have, wanted in zip(kernels.shape[2:], want, strict=True)]
    if window == [1, 1]:
        return kernels
    pool: Callable[..., Tensor] = F.avg_pool2d if row.parameters["pool"] == "avg" else F.max_pool2d
    return pool(kernels, kernel_size=window, stride=1)


def _margins(size: torch.Size, want: torch.Size) -> list[int]:
    """Return left, right, top and bottom of a centred kernel; an odd row or column goes to the end."""
    (gap_y, gap_x) = (wanted - have for have, wanted in zip(size, want, strict=True))
    return [gap_x // 2, gap_x - gap_x // 2, gap_y // 2, gap_y - gap_y // 2]


def _read(row: PlanRow, source: TensorSource) -> Tensor:
    assert row.source is not None
    return source.read(row.source)


_OPERATIONS: dict[Operation, Callable[[PlanRow, TransferPlan, TensorSource, Tensor], Tensor]] = {
    "keep": _keep,
    "copy": _copy,
    "constant": _constant,
    "normal": _normal,
    "gather": _gather,
    "resize": resize_grid,
    "collapse": collapse,
    "dirac": collapse,
    "kernels": _kernels,
}

"""Carrying out a plan: one vectorised operation for each row, nothing chosen and nothing drawn but what it says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import torch
from torch.nn import functional as F

from tlvcli.core.plan import Operation, PlanRow, TransferPlan
from tlvcli.core.tensors import TensorSource

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
    return torch.full_like(own, float(row.parameters["value"]))


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
    """Index every dimension that has a map; where an index is negative the target keeps its own."""
    value, fed = _read(row, source).float(), torch.ones([1] * own.dim(), dtype=torch.bool)
    for dim in range(own.dim()):
        index = plan.array(row, f"index{dim}")
        if index is not None:
            value = value.index_select(dim, index.clamp_min(0))
            fed = fed & (index >= 0).view([-1 if other == dim else 1 for other in range(own.dim())])
    return value.where(fed, own.float())


def _kernels(row: PlanRow, plan: TransferPlan, source: TensorSource, own: Tensor) -> Tensor:
    """Put source kernels where the maps say, resized to the target's; negative entries keep its own kernels."""
    weight = _read(row, source)
    outputs, inputs, kernels = (plan.array(row, role) for role in ("outputs", "inputs", "kernels"))
    if kernels is not None:
        return _kernels_one_by_one(row, plan, weight, own.float(), kernels)
    assert outputs is not None
    assert inputs is not None
    chosen = weight.index_select(0, outputs.clamp_min(0)).index_select(1, inputs.clamp_min(0)).float()
    fed = ((outputs >= 0)[:, None] & (inputs >= 0))[:, :, None, None]
    return _resize(chosen, own, row).where(fed, own.float())


def _kernels_one_by_one(row: PlanRow, plan: TransferPlan, weight: Tensor, own: Tensor, kernels: Tensor) -> Tensor:
    """Index single kernels: from 0 the source's, then drawn ones, below 0 the target's own at -1 - index."""
    num_source = weight.shape[0] * weight.shape[1]
    flat, flat_own = kernels.flatten(), own.flatten(0, 1)
    chosen = weight.flatten(0, 1).index_select(0, flat.clamp(0, num_source - 1)).float()  # [out * in, kh, kw]
    value = _resize(chosen.view(*own.shape[:2], *weight.shape[2:]), own, row).flatten(0, 1)
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


def _resize(kernels: Tensor, own: Tensor, row: PlanRow) -> Tensor:
    """Pool dimensions that shrink (window a - b + 1, stride 1), then pad those that grow, centred."""
    size, want = kernels.shape[2:], own.shape[2:]
    window = [max(1, have - wanted + 1) for have, wanted in zip(size, want, strict=True)]
    if window != [1, 1]:
        pool: Callable[..., Tensor] = F.avg_pool2d if row.parameters["pool"] == "avg" else F.max_pool2d
        kernels = pool(kernels, kernel_size=window, stride=1)
    gaps = [wanted - have for have, wanted in zip(kernels.shape[2:], want, strict=True)]
    if not any(gaps):
        return kernels
    top, left = (gap // 2 for gap in gaps)
    if row.parameters["pad"] == "zero":
        return F.pad(kernels, [left, gaps[1] - left, top, gaps[0] - top])
    value = own.float().clone()
    value[:, :, top : top + kernels.shape[2], left : left + kernels.shape[3]] = kernels
    return value


def _read(row: PlanRow, source: TensorSource) -> Tensor:
    assert row.source is not None
    return source.read(row.source)


_OPERATIONS: dict[Operation, Callable[[PlanRow, TransferPlan, TensorSource, Tensor], Tensor]] = {
    "keep": _keep,
    "copy": _copy,
    "constant": _constant,
    "normal": _normal,
    "gather": _gather,
    "kernels": _kernels,
}

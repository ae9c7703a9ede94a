"""Tensors that a target has under several names: one value, whichever name a plan gave it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from tlvcli.core.plan import PlanRow, TransferPlan

if TYPE_CHECKING:
    from torch import Tensor


def tie(plan: TransferPlan, target: Mapping[str, Tensor]) -> TransferPlan:
    """Return the plan with one operation for all names of a tensor: the last one's, which is what loading leaves."""
    last_names = _last_names(target)
    if not last_names:
        return plan
    rows = {row.tensor: row for row in plan.rows}
    arrays = dict(plan.arrays)
    for name, last in last_names.items():
        arrays = {key: array for key, array in arrays.items() if key.rpartition(":")[0] != name}
        own = {key: array for key, array in arrays.items() if key.rpartition(":")[0] == last}
        arrays.update({f"{name}:{key.rpartition(':')[2]}": array for key, array in own.items()})
        rows[name] = _renamed(rows[last], name)
    return replace(plan, rows=tuple(rows.values()), arrays=arrays)


def _last_names(target: Mapping[str, Tensor]) -> dict[str, str]:
    """Return for each name whose tensor has a later name, too, the last of them."""
    last: dict[object, str] = {_place(tensor): name for name, tensor in target.items()}
    return {name: last[_place(tensor)] for name, tensor in target.items() if last[_place(tensor)] != name}


def _place(tensor: Tensor) -> object:
    """Return what two names of one tensor have in common; an empty tensor has no place, and is only itself."""
    return (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype) if tensor.numel() else id(tensor)


def _renamed(row: PlanRow, name: str) -> PlanRow:
    return row.model_copy(update={"tensor": name, "reason": f"the same tensor as {row.tensor}: {row.reason}"})

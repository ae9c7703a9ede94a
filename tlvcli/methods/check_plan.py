"""Whether a plan fits its source and its target: every fault of every row, before anything is carried out."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.plan import PlanRow, TransferPlan

if TYPE_CHECKING:
    from torch import Tensor

_MOST_FAULTS = 5


def refuse_misfit(plan: TransferPlan, source: Sequence[TensorSpec], target: Sequence[TensorSpec]) -> None:
    """Raise `plan-mismatch` naming the rows that these inputs cannot carry out.

    What a method has planned fits by construction; this is for plans that a person has saved and edited.
    """
    faults = list(_faults(plan, {spec.name: spec.shape for spec in source}, {spec.name: spec.shape for spec in target}))
    if faults:
        more = f" and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise TlvError(
            "plan-mismatch",
            f"the plan does not fit: {'; '.join(faults[:_MOST_FAULTS])}{more}",
            "make it again with --save-plan, or mend these rows",
        )


def _faults(
    plan: TransferPlan, source: Mapping[str, tuple[int, ...]], target: Mapping[str, tuple[int, ...]]
) -> Iterator[str]:
    seen: set[str] = set()
    for row in plan.rows:
        if row.tensor in seen:
            yield f"{row.tensor} has two rows"
        seen.add(row.tensor)
        if row.tensor not in target:
            yield f"the target has no {row.tensor}"
        elif row.shape != target[row.tensor]:
            yield f"{row.tensor} is {_words(target[row.tensor])}, its row says {_words(row.shape)}"
        else:
            yield from (f"{row.tensor}: {fault}" for fault in _faults_of_row(row, plan, source))
    yield from (f"{name} has no row" for name in target if name not in seen)


def _faults_of_row(row: PlanRow, plan: TransferPlan, source: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    if row.operation == "keep":
        return
    if row.operation == "constant":
        yield from _lacks(row, "value")
        return
    if row.operation == "normal":
        yield from _lacks(row, "mean", "std")
        if plan.array(row, "stream") is None:
            yield from _lacks(row, "seed")
        return
    if row.operation == "dirac":
        yield from _lacks(row, "noise", "seed")
        yield from _faults_of_ends(row, plan)
        return
    if row.source is None or row.source not in source:
        yield f"the source has no {row.source}" if row.source else f"{row.operation} needs a source"
        return
    if row.operation == "collapse":
        yield from _faults_of_collapse(row, plan, source)
        return
    shape = source[row.source]
    if row.operation == "copy":
        if shape != row.shape:
            yield f"{row.source} is {_words(shape)}, which cannot be copied into {_words(row.shape)}"
    elif len(shape) != len(row.shape):
        yield f"{row.source} is {_words(shape)}, of another number of dimensions than {_words(row.shape)}"
    elif row.operation == "gather":
        shape = (shape[0], 1, *shape[2:]) if _adds_colours(row) else shape
        for dim, (own, other) in enumerate(zip(row.shape, shape, strict=True)):
            yield from _faults_of_index(plan.array(row, f"index{dim}"), (own,), other, f"index{dim}")
    elif row.operation == "resize":
        yield from _lacks(row, "dim", "before")
    else:
        yield from _faults_of_kernels(row, plan, shape)


def _faults_of_kernels(row: PlanRow, plan: TransferPlan, source: tuple[int, ...]) -> Iterator[str]:
    if len(row.shape) != 4:
        yield f"kernels are of convolutions, and this is {_words(row.shape)}"
        return
    kernels = plan.array(row, "kernels")
    if kernels is not None:
        yield from _faults_of_index(kernels, row.shape[:2], math.prod(source[:2]), "kernels")
        return
    for dim, role in enumerate(("outputs", "inputs")):
        yield from _faults_of_index(plan.array(row, role), (row.shape[dim],), source[dim], role)


def _faults_of_collapse(row: PlanRow, plan: TransferPlan, source: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    yield from _lacks(row, "epsilon", "loop")
    yield from (f"the source has no {name}" for name in row.sources() if name not in source)
    for number, step in enumerate(str(row.parameters.get("steps", "")).split()):
        shape = source.get(step.partition("@")[0])
        if shape is None:
            continue
        reads, writes = plan.array(row, f"reads{number}"), plan.array(row, f"writes{number}")
        if len(shape) < 2 or reads is None or writes is None or len(reads) % shape[1] or len(writes) != shape[0]:
            yield f"step {number + 1} of the block does not connect {_words(shape)}"
    yield from _faults_of_ends(row, plan)


def _faults_of_ends(row: PlanRow, plan: TransferPlan) -> Iterator[str]:
    outputs, inputs = plan.array(row, "outputs"), plan.array(row, "inputs")
    if outputs is None or inputs is None:
        yield "outputs or inputs are missing"
    elif tuple(outputs.shape) != row.shape[:1] or (
        (1 if _adds_colours(row) else inputs.shape[-1]) != row.shape[1] and row.parameters.get("part") != "depthwise"
    ):
        yield f"outputs and inputs do not fit {_words(row.shape)}"


def _adds_colours(row: PlanRow) -> bool:
    """Return whether one input of the target stands for all of the source's."""
    return "colours" in row.parameters


def _faults_of_index(index: Tensor | None, size: tuple[int, ...], most: int, role: str) -> Iterator[str]:
    if index is None:
        if size != (most,):
            yield f"{role} is missing, and {_words(size)} of {most} cannot be told without"
    elif tuple(index.shape) != size:
        yield f"{role} has {_words(tuple(index.shape))} entries where {_words(size)} are needed"
    elif index.numel() and int(index.max()) >= most:
        yield f"{role} names number {int(index.max())} of {most}"


def _lacks(row: PlanRow, *names: str) -> Iterator[str]:
    for name in names:
        if not isinstance(row.parameters.get(name), (int, float)):
            yield f"{row.operation} needs the number {name} among its parameters"


def _words(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape)) or "a scalar"

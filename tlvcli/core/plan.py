"""The transfer plan: for every target tensor where it comes from, how, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from tlvcli.core.graph import Layer, ModelGraph

if TYPE_CHECKING:
    from torch import Tensor

Operation = Literal["keep", "copy", "kernels", "gather", "resize", "collapse", "dirac", "normal", "constant"]

OWN = -1  # in an index map: the target keeps its own value here


@dataclass(frozen=True)
class LayerMatch:
    """One target layer and the source layer that feeds it; `source` is None where none does."""

    target: Layer
    source: Layer | None
    reason: str


class PlanRow(BaseModel):
    """One target tensor: from which source tensor, by which operation, and why.

    `parameters` holds the operation's scalars; its index maps and random streams lie in the plan's `arrays`
    under `TENSOR:ROLE`. `transferred` is the share of elements whose value comes from the source.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    tensor: str
    shape: tuple[int, ...]
    source: str | None
    operation: Operation
    parameters: dict[str, int | float | str]
    transferred: float
    reason: str

    def sources(self) -> tuple[str, ...]:
        """Return every source tensor that the operation reads its values from."""
        if self.source is None:
            return ()
        # WEIGHT or WEIGHT@NORM, the layers that a collapsed block runs through.
        steps = str(self.parameters.get("steps", "")).split()
        norms = [norm for step in steps if (norm := step.partition("@")[2])]
        scales = [f"{norm}.running_var" for norm in norms]
        return (*(step.partition("@")[0] for step in steps), *scales) if steps else (self.source,)


@dataclass(frozen=True)
class TransferPlan:
    """Rows for every tensor of the target in its order, and the index maps they refer to.

    `recommended_rates` are multiples of the learning rate, by layer: low for what is worth keeping.
    """

    rows: tuple[PlanRow, ...]
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    recommended_rates: Mapping[str, float] = field(default_factory=dict)

    def array(self, row: PlanRow, role: str) -> Tensor | None:
        """Return the array that `row` names `role` (`outputs`, `inputs`, `kernels`, `stream`, ...), if any."""
        return self.arrays.get(f"{row.tensor}:{role}")

    def coverage(self, target: ModelGraph) -> float:
        """Return the share of the target's parameters whose value comes from the source."""
        taken = sum(
            row.transferred * tensor.num_elements
            for row, tensor in zip(self.rows, target.tensors(), strict=True)
            if tensor.name not in target.buffers
        )
        return float(taken / max(1, target.num_parameters))


@dataclass(frozen=True)
class Mapped:
    """What a mapping says of one layer: its rows, the arrays they need, and what the user should know.

    `outputs` [out] names for each output channel the source's channel, or OWN; None where they are the same.
    Whatever belongs to the layer's outputs, biases and the normalisation after it, follows this map.
    """

    rows: tuple[PlanRow, ...]
    arrays: Mapping[str, Tensor] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    outputs: Tensor | None = None


def assemble_plan(target: ModelGraph, parts: Iterable[Mapped], *, reason: str) -> TransferPlan:
    """Put the parts into the target's order; a tensor that no part names keeps its value, for `reason`."""
    rows: dict[str, PlanRow] = {}
    arrays: dict[str, Any] = {}
    warnings: dict[str, None] = {}
    for part in parts:
        rows.update((row.tensor, row) for row in part.rows)
        arrays.update(part.arrays)
        warnings.update(dict.fromkeys(part.warnings))
    ordered = tuple(rows.get(tensor.name) or keep_row(tensor.name, tensor.shape, reason) for tensor in target.tensors())
    return TransferPlan(ordered, arrays, tuple(warnings))


def keep_row(tensor: str, shape: tuple[int, ...], reason: str) -> PlanRow:
    """Return the row of a tensor that stays as the target has it."""
    return PlanRow(
        tensor=tensor,
        shape=shape,
        source=None,
        operation="keep",
        parameters={},
        transferred=0.0,
        reason=reason,
    )

"""He: the target as its architecture initialises itself; what every transfer has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import TransferPlan, assemble_plan
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.options import NoOptions

if TYPE_CHECKING:
    from torch import Tensor


def plan_he(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: NoOptions,
    seed: int,
) -> TransferPlan:
    """Return the plan that keeps every target tensor."""
    return assemble_plan(target_graph, (), reason="he transfers nothing: the architecture's own initialisation")

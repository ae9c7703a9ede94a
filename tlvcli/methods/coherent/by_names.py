"""Where channels cannot be followed: names and shapes alone, dimension by dimension, and a warning."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch

from tlvcli.core.graph import ModelGraph, TensorSpec
from tlvcli.core.plan import Mapped, PlanRow, TransferPlan, assemble_plan
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.coherent.assign import choose
from tlvcli.methods.coherent.pairs import pair_by_names
from tlvcli.methods.dpiat import plan_dpiat
from tlvcli.methods.mapping.clip import map_by_clip
from tlvcli.methods.matching.dp import match_by_dp
from tlvcli.methods.matching.options import BlockOptions
from tlvcli.methods.options import DpiatOptions, NoOptions

if TYPE_CHECKING:
    from torch import Tensor

_COLOURS = 3


def plan_by_names(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    seed: int,
    why: str,
) -> TransferPlan:
    """Plan by names where they tell a family, else as `dpiat` does by shapes; `why` is what the warning begins with."""
    pairs = pair_by_names(source_graph, target_graph)
    if pairs.is_family:
        warning = f"{why}: tensors paired by name, channels chosen in every dimension by itself"
        parts = [Mapped((), {}, (warning,)), *(_plan_tensor(tensor, spec) for tensor, spec in pairs.tensors)]
        return assemble_plan(target_graph, parts, reason="the source has nothing of this name and kind")
    plan = plan_dpiat(
        source,
        source_graph,
        target,
        target_graph,
        options=DpiatOptions(),
        seed=seed,
        match=partial(match_by_dp, options=BlockOptions()),
        map_weight=partial(map_by_clip, options=NoOptions()),
    )
    return replace(plan, warnings=(f"{why}: layers matched by shape, as dpiat does", *plan.warnings))


def _plan_tensor(tensor: TensorSpec, spec: TensorSpec) -> Mapped:
    sizes = list(enumerate(zip(spec.shape, tensor.shape, strict=True)))
    is_grey = tensor.suffix == "weight" and len(sizes) == 4 and (spec.shape[1], tensor.shape[1]) == (_COLOURS, 1)
    maps = {dim: choose(have, want, None) for dim, (have, want) in sizes if have != want and not (is_grey and dim == 1)}
    arrays = {f"{tensor.name}:index{dim}": index for dim, index in maps.items()}
    if 1 in maps and tensor.suffix.endswith("weight") and tensor.shape[1] > spec.shape[1]:
        arrays[f"{tensor.name}:scale1"] = 1.0 / torch.bincount(maps[1])[maps[1]]
    how = "every dimension by itself" if maps else "colours added up" if is_grey else "the same"
    row = PlanRow(
        tensor=tensor.name,
        shape=tensor.shape,
        source=spec.name,
        operation="gather" if maps or is_grey else "copy",
        parameters={"colours": "sum"} if is_grey else {},
        transferred=1.0,
        reason=f"{spec.name}: {how}",
    )
    return Mapped((row,), arrays)

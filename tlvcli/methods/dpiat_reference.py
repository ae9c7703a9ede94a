"""DPIAT as its authors run it: `IAT()` of iatransfer 1.0.3, blocks aligned by dynamic programming, clipped.

Bit-compatible: the same blocks from the tree of modules, parameterless ones among them, the same scores and ties, the
same slices of weight and bias. Running statistics stay the target's, as theirs do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import LayerKind, ModelGraph, Module, TensorSpec
from tlvcli.core.plan import Mapped, TransferPlan, assemble_plan
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.mapping.index_maps import centred, describe_change, gather_tensor
from tlvcli.methods.matching.alignment import align_items
from tlvcli.methods.matching.items import Form, Item, blocks, tree_of_names
from tlvcli.methods.matching.score import shape_score
from tlvcli.methods.options import NoOptions

if TYPE_CHECKING:
    from torch import Tensor

_CLASSES = (
    *("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
    *("BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Linear"),
)
_CLASS_OF_KIND: dict[LayerKind, str] = {
    "conv1d": "Conv1d",
    "conv2d": "Conv2d",
    "depthwise-conv2d": "Conv2d",
    "conv3d": "Conv3d",
    "batch-norm": "BatchNorm2d",
    "linear": "Linear",
}


def plan_dpiat_reference(
    source: TensorSource,
    source_graph: ModelGraph,
    target: Mapping[str, Tensor],
    target_graph: ModelGraph,
    *,
    options: NoOptions,
    seed: int,
) -> TransferPlan:
    """Plan every target tensor; nothing is drawn.

    Raises:
        TlvError: `reference-undefined` where the authors' code crashes.
    """
    specs, own = ({tensor.name: tensor for tensor in graph.tensors()} for graph in (source_graph, target_graph))
    parts = [
        _clip(own[want], specs[have], f"shape score {shape_score(found.form, layer.form):.2g}")
        for found, layer in match_layers(source_graph, target_graph)
        for suffix in ("weight", "bias")
        if (want := f"{layer.name}.{suffix}".lstrip(".")) in own
        and (have := f"{found.name}.{suffix}".lstrip(".")) in specs
    ]
    if source_graph.tree is None:
        parts.append(Mapped((), {}, ("the source's modules are unknown: blocks come from the names of its tensors",)))
    return assemble_plan(
        target_graph, parts, reason="the authors' code leaves it alone: the target's own initialisation"
    )


def match_layers(source: ModelGraph, target: ModelGraph) -> list[tuple[Item, Item]]:
    """Return the pairs (source layer, target layer) that the authors' code matches, in its order."""
    return align_items(_standardise(source), _standardise(target), _score)


def _standardise(graph: ModelGraph) -> tuple[Item, ...]:
    shapes = {layer.name: weight.shape for layer in graph.layers if (weight := layer.find("weight"))}
    kinds = {layer.name: layer.kind for layer in graph.layers}

    def form(module: Module) -> Form | None:
        group = module.type if graph.tree else _CLASS_OF_KIND.get(kinds.get(module.name, "other"), "")
        return Form(group, shapes.get(module.name)) if group in _CLASSES else None

    return blocks(graph.tree or tree_of_names(list(kinds)), form)


def _score(source: Form | None, target: Form | None) -> float:
    if source and target and source.group == target.group and (source.shape is None or target.shape is None):
        raise TlvError(
            "reference-undefined",
            f"the authors' code fails on a {source.group} without a weight",
            "--method dpiat is the corrected method and handles it",
        )
    return shape_score(source, target)


def _clip(tensor: TensorSpec, source: TensorSpec, reason: str) -> Mapped:
    maps = [centred(have, want) for have, want in zip(source.shape, tensor.shape, strict=True)]
    return gather_tensor(tensor, source, maps, f"{reason}; {describe_change(source, tensor)}")

"""What a transfer starts from: the source as a graph, and the target as its architecture or a file has it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import ModelGraph
from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorSource
from tlvcli.models.recognition.describe import describe
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module, open_reference
from tlvcli.pipelines.finiteness import count_not_finite

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Target:
    """The target before the transfer; `start` is the file that it came from, None where it is freshly initialised."""

    state: Mapping[str, Tensor]
    graph: ModelGraph
    architecture: Architecture
    start: OpenedCheckpoint | None

    def dtypes(self, source: OpenedCheckpoint, asked: str | None) -> dict[str, str]:
        """Return the dtype of every output tensor: asked for, the target checkpoint's, or the source's one."""
        own = {spec.name: spec.dtype for spec in self.start.tensors.specs} if self.start else {}
        common = {spec.dtype for spec in source.tensors.specs if "float" in spec.dtype}
        usual = common.pop() if len(common) == 1 else "float32"
        return {
            tensor.name: (asked or own.get(tensor.name, usual)) if "float" in tensor.dtype else tensor.dtype
            for tensor in self.graph.tensors()
        }


def usual_target(name: str, source: OpenedCheckpoint) -> Architecture:
    """Return architecture `name` with the classes and input channels of the source, as far as it shows them."""
    from tlvcli.models.builders import RGB_CHANNELS, default_num_classes

    known = source.stated
    if known is not None:
        return Architecture(name=name, num_classes=known.num_classes, in_chans=known.in_chans)
    shown = describe(source.tensors.specs)
    num_classes = shown.head.num_classes if shown.head else default_num_classes(name)
    return Architecture(name=name, num_classes=num_classes, in_chans=shown.in_chans or RGB_CHANNELS)


def build_target(architecture: Architecture, *, seed: int) -> Target:
    """Return the target freshly initialised by its architecture's own rule."""
    from tlvcli.models.builders import build
    from tlvcli.models.graph import graph_of_module

    module = build(architecture, seed=seed)
    return Target(module.state_dict(), graph_of_module(module), architecture, None)


def load_target(
    reference: str, arch: str, *, num_classes: int | None, in_chans: int | None, offline: bool, seed: int
) -> Target:
    """Return the target as a checkpoint has it, with a fresh head where it is to have other classes.

    Raises:
        TlvError: `checkpoint-mismatch`, or whatever is wrong with the file.
    """
    from tlvcli.models.graph import graph_of_module

    start = open_reference(reference, role="target", key=None, arch=arch, offline=offline, seed=seed)
    module, architecture, _ = load_module(start, num_classes=num_classes, seed=seed)
    if in_chans not in (None, architecture.in_chans):
        raise TlvError(
            "checkpoint-mismatch",
            f"{reference} has {architecture.in_chans} input channels, not {in_chans}",
            "leave --in-chans out, or start from a fresh target",
        )
    return Target(module.state_dict(), graph_of_module(module), architecture, start)


def source_graph(source: OpenedCheckpoint) -> tuple[ModelGraph, tuple[str, ...]]:
    """Return the source's graph, from its architecture where known, from names and shapes where not, and warnings."""
    from tlvcli.models.builders import build_skeleton
    from tlvcli.models.graph import graph_of_module, graph_of_tensors

    specs = source.tensors.specs
    if source.stated is None:
        return graph_of_tensors(specs), ()
    name = source.stated.name
    try:
        architecture = source.architecture
        assert architecture is not None
        graph = graph_of_module(build_skeleton(architecture))
    # A file that is not there any more, or may not run; timm that is not installed. The tensors are there.
    except TlvError as error:
        return graph_of_tensors(specs), (f"{name} cannot be built ({error.message}): read from names and shapes",)
    graph = _without_counters(graph, {spec.name for spec in specs})
    if {tensor.name: tensor.shape for tensor in graph.tensors()} == {spec.name: spec.shape for spec in specs}:
        return graph, ()
    return graph_of_tensors(specs), (f"the source's tensors are not those of {name}: read from names and shapes",)


def _without_counters(graph: ModelGraph, found: Collection[str]) -> ModelGraph:
    """Return the graph without the counters that files from before PyTorch 0.4.1 lack."""
    layers = (
        replace(
            layer,
            tensors=tuple(t for t in layer.tensors if t.name in found or t.suffix != "num_batches_tracked"),
        )
        for layer in graph.layers
    )
    return replace(graph, layers=tuple(layers))


def refuse_not_finite(plan: TransferPlan, source: TensorSource) -> None:
    """Raise `source-not-finite` where a tensor that the plan takes from holds NaN or Inf, or a draw would be one."""
    import math

    used = dict.fromkeys(name for row in plan.rows for name in row.sources())
    broken = [name for name in used if count_not_finite(source.read(name))]
    drawn = [
        row.tensor
        for row in plan.rows
        if any(isinstance(value, float) and not math.isfinite(value) for value in row.parameters.values())
    ]
    if broken or drawn:
        where = f"holds NaN or Inf in {_some(broken)}" if broken else f"has no finite statistics for {_some(drawn)}"
        raise TlvError(
            "source-not-finite",
            f"the source {where}",
            "tlv inspect --stats shows them; --allow-nan takes them as they are",
        )


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

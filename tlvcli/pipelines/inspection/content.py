"""The tensors of a checkpoint by layer, and their totals, from names, shapes and dtypes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from pydantic import Field

from tlvcli.core.graph import Layer, LayerKind, TensorSpec
from tlvcli.core.layer_globs import is_named, refuse_unknown
from tlvcli.core.report import ReportPart
from tlvcli.io.safetensors_header import ITEM_BYTES
from tlvcli.models.graph import BUFFER_SUFFIXES, graph_of_tensors


class InspectedTensor(ReportPart):
    """One tensor; its name is the layer's, a dot, and its own."""

    name: str
    shape: tuple[int, ...]
    dtype: str = Field(description="as torch names it: float32, bfloat16, int64")
    parameters: int = Field(description="elements; 0 for a buffer")
    buffers: int = Field(description="elements of running_mean, running_var or num_batches_tracked, else 0")
    bytes: int


class InspectedLayer(ReportPart):
    """The tensors whose names agree up to the last dot."""

    name: str = Field(description="empty for tensors without a dot in their name")
    kind: LayerKind = Field(description="as the names and shapes suggest")
    tensors: list[InspectedTensor]
    parameters: int
    buffers: int
    bytes: int


class InspectTotals(ReportPart):
    """Sums over the whole checkpoint."""

    layers: int
    tensors: int
    parameters: int = Field(description="elements of all tensors that are not buffers")
    buffers: int = Field(
        description="elements of tensors called running_mean, running_var or num_batches_tracked; others "
        "cannot be told from parameters by their names, and count as parameters"
    )
    bytes: int = Field(description="of tensors; two names of one tensor count twice")
    dtypes: dict[str, int] = Field(description="number of tensors of each dtype")


def inspect_layers(specs: Sequence[TensorSpec]) -> list[InspectedLayer]:
    """Return the layers in the order of their first tensors."""
    return [_describe_layer(layer) for layer in graph_of_tensors(specs).layers]


def sum_layers(layers: Sequence[InspectedLayer]) -> InspectTotals:
    """Return the totals of all `layers`."""
    dtypes = Counter(tensor.dtype for layer in layers for tensor in layer.tensors)
    return InspectTotals(
        layers=len(layers),
        tensors=sum(len(layer.tensors) for layer in layers),
        parameters=sum(layer.parameters for layer in layers),
        buffers=sum(layer.buffers for layer in layers),
        bytes=sum(layer.bytes for layer in layers),
        dtypes=dict(sorted(dtypes.items())),
    )


def select_layers(layers: Sequence[InspectedLayer], pattern: str | None) -> list[InspectedLayer]:
    """Return the layers that a glob names, or that lie below a module that it names; all without a glob.

    Raises:
        TlvError: `layers-unknown` where it names none.
    """
    if pattern is None:
        return list(layers)
    refuse_unknown([pattern], [layer.name for layer in layers])
    return [layer for layer in layers if is_named(layer.name, pattern)]


def _describe_layer(layer: Layer) -> InspectedLayer:
    tensors = [_describe_tensor(spec) for spec in layer.tensors]
    return InspectedLayer(
        name=layer.name,
        kind=layer.kind,
        tensors=tensors,
        parameters=sum(tensor.parameters for tensor in tensors),
        buffers=sum(tensor.buffers for tensor in tensors),
        bytes=sum(tensor.bytes for tensor in tensors),
    )


def _describe_tensor(spec: TensorSpec) -> InspectedTensor:
    is_buffer = spec.suffix in BUFFER_SUFFIXES
    return InspectedTensor(
        name=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        parameters=0 if is_buffer else spec.num_elements,
        buffers=spec.num_elements if is_buffer else 0,
        bytes=spec.num_elements * ITEM_BYTES[spec.dtype],
    )

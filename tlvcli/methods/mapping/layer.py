"""A whole layer by one mapping: its weight as the mapping says, and all that belongs to its outputs after it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tlvcli.core.graph import Layer, TensorSpec
from tlvcli.core.plan import LayerMatch, Mapped, keep_row
from tlvcli.core.tensors import TensorSource
from tlvcli.methods.mapping.index_maps import describe_change, gather_tensor, share_of

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from tlvcli.methods.recipe import Mapper


def map_layer(
    match: LayerMatch,
    source: TensorSource,
    target: Mapping[str, Tensor],
    *,
    map_weight: Mapper,
    generator: Generator,
) -> Mapped:
    """Plan every tensor of a layer: the leading one by `map_weight`, bias and statistics along its outputs."""
    if match.source is None:
        return keep_layer(match.target, match.reason)
    have, want = match.source.leading, match.target.leading
    if len(have.shape) != len(want.shape):
        return keep_layer(match.target, f"{match.reason}; {describe_change(have, want)} cannot be mapped")
    weight = map_weight(match, source.read(have.name), target[want.name], generator=generator)
    if share_of(weight.outputs) == 0:
        return keep_layer(match.target, weight.rows[0].reason)
    beside = [_along_outputs(tensor, match, weight.outputs) for tensor in match.target.tensors if tensor != want]
    return _joined([weight, *beside], weight.outputs)


def map_follower(match: LayerMatch, outputs: Tensor | None) -> Mapped:
    """Plan a normalisation whose every tensor follows the `outputs` of the layer before it."""
    if match.source is None or share_of(outputs) == 0:
        return keep_layer(match.target, match.reason)
    return _joined([_along_outputs(tensor, match, outputs) for tensor in match.target.tensors], outputs)


def keep_layer(layer: Layer, reason: str) -> Mapped:
    """Return rows that leave a layer as the target has it."""
    return Mapped(tuple(keep_row(tensor.name, tensor.shape, reason) for tensor in layer.tensors))


def _along_outputs(tensor: TensorSpec, match: LayerMatch, outputs: Tensor | None) -> Mapped:
    assert match.source is not None
    source = match.source.find(tensor.suffix)
    if source is None:
        reason = f"{match.reason}; the source layer has no {tensor.suffix}"
        return Mapped((keep_row(tensor.name, tensor.shape, reason),))
    reason = f"{match.reason}; {describe_change(source, tensor)}"
    maps: list[Tensor | None] = [None] * len(tensor.shape)
    fits = source.shape == tensor.shape
    if outputs is not None and tensor.shape:
        maps = [outputs]
        fits = tensor.shape == outputs.shape and len(source.shape) == 1 and int(outputs.max()) < source.shape[0]
    if not fits:
        return Mapped((keep_row(tensor.name, tensor.shape, f"{reason}, which does not fit the outputs"),))
    return gather_tensor(tensor, source, maps, reason)


def _joined(parts: list[Mapped], outputs: Tensor | None) -> Mapped:
    return Mapped(
        tuple(row for part in parts for row in part.rows),
        {name: array for part in parts for name, array in part.arrays.items()},
        tuple(warning for part in parts for warning in part.warnings),
        outputs,
    )

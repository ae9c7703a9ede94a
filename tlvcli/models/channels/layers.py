"""What layers with weights do to channels: convolutions, linear layers, normalisations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

from tlvcli.core.channels import Site
from tlvcli.models.channels.values import Call, Value, along, narrow_where_equal, tensors_in, unknown

if TYPE_CHECKING:
    from tlvcli.models.channels.tracer import ChannelTracer


def convolve(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Link what a convolution reads with its weight; in a depthwise one, what it writes, too."""
    (value, weight), bias = (tracer.value(argument) for argument in call.args[:2]), call.args[2]
    transposed, groups = call.args[6], call.args[8]
    read = narrow_where_equal(value.channels, [0, *range(2, value.channels.dim())])
    if read is None or weight.axes is None or weight.parameter is None:
        tracer.ledger.mix("a convolution with computed weights or uneven channels", value.channels)
        return [unknown(call.result.shape)]
    read, name = read.flatten(), weight.parameter
    reads, writes = weight.axes[:2] if transposed else weight.axes[1::-1]
    for dim in range(2, len(weight.axes)):
        tracer.ledger.axes[name, dim] = None
    if groups == 1:
        tracer.ledger.link(read, reads)
    elif transposed:
        tracer.ledger.mix("a transposed grouped convolution", read)
        return [unknown(call.result.shape)]
    else:
        _read_in_groups(tracer, name, read, writes, groups)
    _link_vector(tracer, bias, writes)
    layer = _enter(tracer, name, "convolution", call, value)
    return [Value(along(writes, 1, call.result.shape), writers=_writers(tracer, name, bias), layer=layer)]


def _read_in_groups(tracer: ChannelTracer, name: str, read: Tensor, writes: Tensor, groups: int) -> None:
    by_group = read.view(groups, -1)
    tracer.ledger.axes[name, 1] = by_group
    if by_group.shape[1] > 1:
        tracer.ledger.blocks.append(by_group)
    if len(read) == len(writes) == groups:
        tracer.ledger.link(read, writes)
    elif len(writes) > groups:
        tracer.ledger.blocks.append(writes.view(groups, -1))


def multiply_matrices(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Link what a linear layer reads with its weight: x [..., rows, in] times [..., in, out], and a bias perhaps."""
    *bias, first, second = call.args[:3] if call.name == "addmm" else call.args[:2]
    value, weight = tracer.value(first), tracer.value(second)
    read = narrow_where_equal(value.channels, range(value.channels.dim() - 1))
    if read is None or weight.axes is None or weight.parameter is None:
        for mixed in (value, weight):
            tracer.ledger.mix("a matrix product", mixed.channels)
        return [unknown(call.result.shape)]
    reads, writes = weight.axes[-2:]
    tracer.ledger.link(read.flatten(), reads)
    _link_vector(tracer, bias[0] if bias else None, writes)
    layer = _enter(tracer, weight.parameter, "linear", call, value)
    writers = _writers(tracer, weight.parameter, bias[0] if bias else None)
    return [Value(along(writes, -1, call.result.shape), writers=writers, layer=layer)]


def batch_norm(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Link every tensor of the layer with the channels it normalises one by one."""
    value = tracer.value(call.args[0])
    vectors = [tensor for tensor in call.args[1:5] if isinstance(tensor, Tensor)]
    names = [name for name in (tracer.value(vector).parameter for vector in vectors) if name]
    result, *others = tensors_in(call.result)
    rest = [unknown(other.shape) for other in others]
    channels = narrow_where_equal(value.channels, [0, *range(2, value.channels.dim())])
    if channels is None:
        tracer.ledger.mix("batch normalisation of uneven channels", value.channels)
        return [unknown(result.shape), *rest]
    channels = channels.flatten()
    for vector in vectors:
        _link_vector(tracer, vector, channels)
    epsilon = [argument for argument in call.args if isinstance(argument, float)][-1]
    layer = _enter(tracer, names[0], "batch-norm", call, value, epsilon) if names else None
    writers = _writers(tracer, *call.args[1:3]) if call.args[1] is not None else ()
    return [Value(along(channels, 1, result.shape), writers=writers, layer=layer), *rest]


def layer_norm(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Link the affine parameters with the last dimensions, whose channels become dependent on one another."""
    return _normalise(tracer, call, range(-len(call.args[1]), 0), call.args[2:4], "layer normalisation")


def group_norm(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Link the affine parameters with dimension 1, whose channels become dependent on one another."""
    return _normalise(tracer, call, range(1, 2), call.args[1:3], "group normalisation")


def _normalise(
    tracer: ChannelTracer, call: Call, dims: range, affine: Sequence[Tensor | None], reason: str
) -> Sequence[Value]:
    value = tracer.value(call.args[0])
    others = tensors_in(call.result)[1:]
    normalised = {dim % value.channels.dim() for dim in dims}
    rest = [dim for dim in range(value.channels.dim()) if dim not in normalised]
    channels = narrow_where_equal(value.channels, rest)
    vectors = [vector for vector in affine if vector is not None]
    if channels is not None:
        for vector in vectors:
            tracer.ledger.link(tracer.value(vector).channels.flatten(), channels.flatten())
    tracer.ledger.mix(reason, value.channels)
    names = [name for name in (tracer.value(vector).parameter for vector in vectors) if name]
    layer = _enter(tracer, names[0], "norm", call, value) if names else None
    known = Value(value.channels, writers=_writers(tracer, *vectors), layer=layer)
    return [known, *(unknown(other.shape) for other in others)]


def _link_vector(tracer: ChannelTracer, vector: Tensor | None, channels: Tensor) -> None:
    if vector is not None:
        tracer.ledger.link(tracer.value(vector).channels.flatten(), channels)


def _writers(tracer: ChannelTracer, *parts: str | Tensor | None) -> tuple[str, ...]:
    """Return the names of weight and bias, or nothing where one of them is no parameter."""
    names = [part if isinstance(part, str) else tracer.value(part).parameter for part in parts if part is not None]
    return tuple(name for name in names if name) if all(names) else ()


def _enter(
    tracer: ChannelTracer, parameter: str, operation: str, call: Call, value: Value, epsilon: float | None = None
) -> str:
    """Write down where the layer that owns `parameter` stands, and return its name; a second use changes nothing."""
    layer = parameter.rpartition(".")[0]
    size = tuple(tensors_in(call.result)[0].shape[2:]) if operation in ("convolution", "batch-norm") else ()
    before = tuple(value.channels.shape[2:])
    site = Site(operation, size, size == before or not size, value.layer, value.after, None, epsilon)
    tracer.ledger.sites.setdefault(layer, site)
    return layer

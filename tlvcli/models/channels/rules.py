"""What each operation does to channels: the ones that rearrange, act on each element, or reduce."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from tlvcli.core.channels import Addition, Term
from tlvcli.models.channels.attention import attend, contract
from tlvcli.models.channels.layers import batch_norm, convolve, group_norm, layer_norm, multiply_matrices
from tlvcli.models.channels.values import (
    NONE,
    Call,
    Value,
    narrow_where_equal,
    repeat_axes,
    smallest,
    tensors_in,
    unknown,
)

if TYPE_CHECKING:
    from tlvcli.models.channels.tracer import ChannelTracer

Rule = Callable[["ChannelTracer", Call], Sequence[Value]]


def values_of(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Return what is known of the tensors that an operation gave; an unheard-of one mixes all it reads."""
    name = call.name.removesuffix("_")
    rule = _RULES.get(name) or next((rule for part, rule in _RULES_BY_PART if part in name), None)
    if rule is not None:
        return rule(tracer, call)
    for tensor in tensors_in((call.args, call.kwargs)):
        tracer.ledger.mix(f"the operation {name}", tracer.value(tensor).channels)
    return _nothing(tracer, call)


def _nothing(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    return [unknown(tensor.shape) for tensor in tensors_in(call.result)]


def _same(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    return [tracer.value(call.args[0]), *(unknown(other.shape) for other in tensors_in(call.result)[1:])]


def _rearrange(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Do to the channels what is done to the values."""
    value = tracer.value(call.args[0])
    if value.axes is not None and call.name in ("t", "transpose", "permute"):
        positions = torch.empty([len(axis) for axis in value.axes], device="meta")
        order = _order(call.function(positions, *call.args[1:]), positions)
        channels = call.function(value.channels, *call.args[1:])
        return [replace(value, channels=channels, axes=tuple(value.axes[dim] for dim in order))]
    if "view" in call.name or call.name == "reshape":
        results: Any = value.channels.reshape(call.result.shape)
    else:
        results = call.function(value.channels, *call.args[1:], **call.kwargs)
    axes = None
    if value.axes and call.name in ("expand", "view"):
        axes = repeat_axes(value.axes, call.result.shape)
    return [replace(value, channels=channels, axes=axes) for channels in tensors_in(results)]


def _order(moved: Tensor, still: Tensor) -> list[int]:
    return [still.stride().index(stride) for stride in moved.stride()]


def _concatenate(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Put channels behind one another; where tokens are, the channels across them are the same."""
    values = [tracer.value(tensor) for tensor in call.args[0]]
    shape = call.result.shape
    dim = (call.args[1] if len(call.args) > 1 else 0) % len(shape)
    after = {value.after for value in values}
    common = after.pop() if len(after) == 1 else None
    if call.name == "stack":
        return [Value(torch.stack([value.channels for value in values], dim), after=common)]
    small = [smallest(value.channels) for value in values]
    if all(part.shape[dim] == 1 and part.numel() > 1 for part in small):
        for part in small[1:]:
            tracer.ledger.link(small[0], part)
        return [Value(small[0].expand(shape), after=common)]
    sizes = [max(part.shape[other] for part in small) for other in range(len(shape))]
    parts = [
        part.expand([value.channels.shape[other] if other == dim else sizes[other] for other in range(len(shape))])
        for part, value in zip(small, values, strict=True)
    ]
    return [Value(torch.cat(parts, dim).expand(shape), after=common)]


def _pad(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Surround with zeros: new positions without a channel, but at the borders of an image."""
    value = tracer.value(call.args[0])
    small, margins = smallest(value.channels), list(call.args[1])
    for place in range(0, len(margins), 2):
        if small.shape[-1 - place // 2] == 1:
            margins[place : place + 2] = 0, 0
    return [Value(F.pad(small, margins, value=NONE).expand(call.result.shape), writers=value.writers)]


def _activate(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    value = tracer.value(tensors_in(call.args)[0])  # a power has a number first, perhaps
    name = call.name.removesuffix("_")
    if name == "hardtanh" and call.args[1:] == (0.0, 6.0):
        name = "relu6"
    tracer.see_activation(value, name)
    return [Value(value.channels, after=name)]


def _combine(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Add or multiply element by element: where both sides have channels, they are the same."""
    tensors = [argument for argument in call.args if isinstance(argument, Tensor)]
    values = [tracer.value(tensor) for tensor in tensors]
    if len(values) == 1:
        return [Value(values[0].channels, writers=values[0].writers if "mul" in call.name else ())]
    first, second = values[0], values[1]
    channels = _agree(tracer, first.channels, second.channels).expand(call.result.shape)
    if "mul" in call.name:
        scale = next((value.parameter for value in values if value.parameter is not None), None)
        return [Value(channels, writers=(scale,) if scale else first.writers or second.writers)]
    if "add" in call.name and first.layer is not None and second.parameter is not None and len(second.axes or ()) == 1:
        return [replace(first, channels=channels, writers=(*first.writers, second.parameter))]  # a bias of the layer
    if "add" in call.name and first.parameter is None and second.parameter is None:
        terms = Term(first.writers, first.after), Term(second.writers, second.after)
        tracer.ledger.additions.append(Addition(terms))
        return [Value(channels, addition=len(tracer.ledger.additions) - 1)]
    return [Value(channels)]


def _agree(tracer: ChannelTracer, first: Tensor, second: Tensor) -> Tensor:
    """Link two sides and return the simpler one, where it says something."""
    first, second = sorted((smallest(first), smallest(second)), key=Tensor.numel)
    if bool((first < 0).all()):
        return second
    together = torch.broadcast_shapes(first.shape, second.shape)  # type: ignore[no-untyped-call]
    if together.numel() > second.numel():
        tracer.ledger.mix("an outer product", first)
        tracer.ledger.mix("an outer product", second)
        return torch.full([1] * second.dim(), NONE)
    tracer.ledger.link(first, second)
    return first if bool((first >= 0).all()) else first.where(first >= 0, second)


def _pool(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Pool or resize heights and widths."""
    value = tracer.value(call.args[0])
    result, *indices = tensors_in(call.result)
    steady = narrow_where_equal(value.channels, range(2, value.channels.dim()))
    if steady is None:
        tracer.ledger.mix(f"the operation {call.name}", value.channels)
        return _nothing(tracer, call)
    known = replace(value, channels=steady.expand(result.shape), layer=None, addition=None)
    return [known, *(unknown(index.shape) for index in indices)]


def _reduce(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Reduce some dimensions to one number: the channels stay that lie along the others."""
    value = tracer.value(call.args[0])
    lists = [argument for argument in call.args[1:] if isinstance(argument, (list, tuple))]
    num_dims = value.channels.dim()
    dims = sorted({dim % num_dims for dim in (lists[-1] if lists else range(num_dims))}) if num_dims else []
    steady = narrow_where_equal(value.channels, dims)
    if steady is None:
        tracer.ledger.mix(f"the operation {call.name}", value.channels)
        return _nothing(tracer, call)
    if steady.dim() != call.result.dim():
        steady = steady.squeeze(tuple(dims))
    return [replace(value, channels=steady.expand(call.result.shape), axes=None, parameter=None, layer=None)]


def _softmax(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    value = tracer.value(call.args[0])
    if narrow_where_equal(value.channels, [call.args[1] % value.channels.dim()]) is None:
        tracer.ledger.mix("softmax", value.channels)
    return [Value(value.channels)]


def _pick(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Index the first dimensions by positions that are not known here: the channels of the last one stay."""
    value = tracer.value(call.args[0])
    num_indexed = len(call.args[1])
    if num_indexed < value.channels.dim():
        steady = narrow_where_equal(value.channels, range(num_indexed))
        if steady is not None:
            kept = steady.reshape(steady.shape[num_indexed:])
            return [Value(kept.expand(call.result.shape))]
    tracer.ledger.mix("indexing", value.channels)
    return _nothing(tracer, call)


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("view", "_unsafe_view", "_reshape_alias", "reshape", "t", "transpose", "permute"), _rearrange),
    **dict.fromkeys(("expand", "squeeze", "unsqueeze", "slice", "select", "split", "split_with_sizes"), _rearrange),
    **dict.fromkeys(("unbind", "chunk", "roll", "flip", "repeat", "pixel_shuffle", "pixel_unshuffle"), _rearrange),
    **dict.fromkeys(("channel_shuffle", "native_channel_shuffle", "unfold"), _rearrange),
    **dict.fromkeys(("clone", "alias", "detach", "_to_copy", "contiguous", "as_strided", "native_dropout"), _same),
    **dict.fromkeys(("fill", "zero", "copy", "bernoulli", "masked_fill", "lift_fresh"), _same),
    **dict.fromkeys(("relu", "relu6", "hardtanh", "leaky_relu", "elu", "celu", "selu", "prelu", "rrelu"), _activate),
    **dict.fromkeys(("gelu", "silu", "mish", "hardswish", "softplus", "log_sigmoid", "tanh"), _activate),
    **dict.fromkeys(("sigmoid", "hardsigmoid", "clamp", "clamp_min", "clamp_max", "exp", "sqrt"), _activate),
    **dict.fromkeys(("rsqrt", "pow", "neg", "abs", "erf", "square", "log", "sin", "cos", "reciprocal"), _activate),
    **dict.fromkeys(("add", "sub", "rsub", "mul", "div", "maximum", "minimum", "_prelu_kernel"), _combine),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "var", "std", "linalg_vector_norm"), _reduce),
    **dict.fromkeys(("empty", "empty_like", "new_empty", "new_zeros", "new_ones", "new_full", "zeros_like"), _nothing),
    **dict.fromkeys(("ones_like", "full_like", "rand_like", "zeros", "ones", "arange", "eq", "ne", "ge"), _nothing),
    "cat": _concatenate,
    "stack": _concatenate,
    "constant_pad_nd": _pad,
    "index": _pick,
    "convolution": convolve,
    "mm": multiply_matrices,
    "addmm": multiply_matrices,
    "bmm": contract,
    "baddbmm": contract,
    "native_layer_norm": layer_norm,
    "native_group_norm": group_norm,
}
_RULES_BY_PART: tuple[tuple[str, Rule], ...] = (
    ("batch_norm", batch_norm),
    ("scaled_dot_product", attend),
    ("softmax", _softmax),
    ("pool", _pool),
    ("upsample", _pool),
)

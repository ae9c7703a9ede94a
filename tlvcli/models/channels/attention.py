"""What attention does to channels: products of activations, head by head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tlvcli.models.channels.layers import multiply_matrices
from tlvcli.models.channels.values import Call, Value, is_repeated, narrow_where_equal, tensors_in, unknown

if TYPE_CHECKING:
    from tlvcli.models.channels.tracer import ChannelTracer

_ATTENTION = "attention"


def contract(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Multiply activations [batch, m, k] x [batch, k, n]: queries with keys, or scores with values.

    Where both have channels along k they are the same; the result has those that the second has along n. A weight
    that was repeated for the batch (torch 2.6 does so where a linear layer reads what does not lie in order) is one.
    """
    if call.name == "bmm" and is_repeated(tracer.value(call.args[-1])):
        return multiply_matrices(tracer, call)
    first, second = (tracer.value(argument).channels for argument in call.args[-2:])
    queries, keys = narrow_where_equal(first, [1]), narrow_where_equal(second, [2])
    over_tokens = narrow_where_equal(second, [1])
    if over_tokens is not None and narrow_where_equal(first, [2]) is not None:
        _keep_together(tracer, over_tokens[:, 0])
        return [Value(over_tokens.expand(call.result.shape))]
    if queries is not None and keys is not None:
        tracer.ledger.link(queries[:, 0], keys[:, :, 0])
        _keep_together(tracer, queries[:, 0])
    else:
        tracer.ledger.mix("a product of activations", torch.cat([first.flatten(), second.flatten()]))
    return [unknown(call.result.shape)]


def attend(tracer: ChannelTracer, call: Call) -> Sequence[Value]:
    """Attend in one operation: queries, keys and values are [batch, heads, tokens, in a head]."""
    query, key, value = (tracer.value(argument).channels for argument in call.args[:3])
    result, *others = tensors_in(call.result)
    rest = [unknown(other.shape) for other in others]
    steady = [narrow_where_equal(channels, [0, 2]) for channels in (query, key, value)]
    if any(channels is None for channels in steady):
        tracer.ledger.mix(_ATTENTION, torch.cat([part.flatten() for part in (query, key, value)]))
        return [unknown(result.shape), *rest]
    queries, keys, values = (channels[0, :, 0] for channels in steady if channels is not None)  # [heads, in a head]
    tracer.ledger.link(queries, keys)
    _keep_together(tracer, queries)
    _keep_together(tracer, values)
    return [Value(values[None, :, None].expand(result.shape)), *rest]


def _keep_together(tracer: ChannelTracer, heads: Tensor) -> None:
    """Note the heads among rows [batch, in a head], which repeat for every image and window."""
    _, first = torch.unique(heads, dim=0, return_inverse=True)
    order: dict[int, int] = {}
    for row, index in enumerate(first.tolist()):
        order.setdefault(index, row)
    blocks = heads[list(order.values())]
    if bool((blocks >= 0).all()):
        tracer.ledger.blocks.append(blocks)
    tracer.ledger.mix(_ATTENTION, heads)

"""Variance mapping (TLV), corrected: a convolution of one width and kernel size becomes another.

Channels are ranked by the population variance of their weights. A narrower target keeps some source channels, a
wider one gives some of its slots to them and keeps its own initialisation elsewhere. Against the authors' code
(see `variance_reference`), equal shapes are copied, chosen channels keep their order and are the same in every
filter, `random` draws without replacement, `two-tailed` and `interleaved` hold for any number, kernels need not
be square nor differ by an even number, and the bias follows its filter.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import torch

from tlvcli.core.graph import TensorSpec
from tlvcli.core.plan import LayerMatch, Mapped, PlanRow, keep_row
from tlvcli.methods.mapping.options import Choice, VarianceOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor

OWN = -1  # in an index map: the target keeps its own value here


def map_convolution(
    match: LayerMatch, source: Tensor, target: Tensor, *, options: VarianceOptions, generator: Generator
) -> Mapped:
    """Plan one convolution: weights `source` [out, in, kh, kw] into the shape of `target`, and the bias.

    Returns:
        A row for each tensor of the target layer; the maps are [out] and [in], or [out, in] where every filter
        chooses for itself.
    """
    assert match.source is not None
    weight, source_weight = match.target.find("weight"), match.source.find("weight")
    assert weight is not None
    assert source_weight is not None
    if source.shape == target.shape and options.shuffle == "off":
        row = _row(weight, source_weight, "copy", {}, 1.0, f"{match.reason}; same shape")
        return _with_bias(match, Mapped((row,)), outputs=None)

    outputs = _choose_channels(source, target, 0, options, generator)  # [out]
    if options.fan_in == "per-layer" and options.shuffle != "independent":
        inputs = _choose_channels(source, target, 1, options, generator)  # [in]
        arrays = {f"{weight.name}:outputs": outputs, f"{weight.name}:inputs": inputs}
        fed = _share(outputs) * _share(inputs)
    else:
        kernels = _choose_kernels(source, target, outputs, options, generator)  # [out, in]
        arrays = {f"{weight.name}:kernels": kernels}
        fed = _share(kernels)
    row = _row(
        weight,
        source_weight,
        "kernels",
        {"pad": options.pad, "pool": options.pool},
        fed * _kernel_overlap(source, target),
        f"{match.reason}; {_describe_change(source, target)}",
    )
    return _with_bias(match, Mapped((row,), arrays), outputs=outputs)


def choose(rank: Callable[[], Tensor], size: tuple[int, int], mode: Choice, count: int, generator: Generator) -> Tensor:
    """Choose `count` of the channels in each row, `size` = (rows, channels), in ascending channel order.

    `rank` gives the values [rows, channels] that the mode ranks. `two-tailed` takes the smallest half and the
    largest half (the larger half above, for an odd count); `interleaved` takes evenly spaced ranks from the
    smallest to the largest.
    """
    num_channels = size[1]
    if mode == "random":
        ranked = torch.rand(size, generator=generator).argsort(dim=1)
        return ranked[:, :count].sort(dim=1).values
    ranked = rank().argsort(dim=1, stable=True)
    if mode == "max-var":
        picked = torch.arange(num_channels - count, num_channels)
    elif mode == "min-var":
        picked = torch.arange(count)
    elif mode == "two-tailed":
        above = count - count // 2
        picked = torch.cat([torch.arange(count // 2), torch.arange(num_channels - above, num_channels)])
    else:
        picked = torch.linspace(0, num_channels - 1, count, dtype=torch.float64).round().long()
    return ranked[:, picked].sort(dim=1).values


def _choose_channels(
    source: Tensor, target: Tensor, dim: int, options: VarianceOptions, generator: Generator
) -> Tensor:
    """Return the index map of output channels (`dim` 0) or input channels (1), the same for the whole layer."""
    index = _index_map(
        (1, source.shape[dim]),
        (1, target.shape[dim]),
        lambda: _channel_variance(source, dim)[None],
        lambda: _channel_variance(target, dim)[None],
        options,
        generator,
    )[0]
    return index if options.shuffle == "off" else index[torch.randperm(len(index), generator=generator)]


def _choose_kernels(
    source: Tensor, target: Tensor, outputs: Tensor, options: VarianceOptions, generator: Generator
) -> Tensor:
    """Return [out, in]: the source kernel out * in + in that feeds each target kernel, or OWN."""
    if options.fan_in == "per-layer":
        index = _choose_channels(source, target, 1, options, generator).expand(len(outputs), target.shape[1])
    else:
        filters = source[outputs.clamp_min(0)]  # [target out, source in, kh, kw]
        sizes = (filters.shape[0], filters.shape[1]), (target.shape[0], target.shape[1])
        index = _index_map(*sizes, lambda: _spread(filters), lambda: _spread(target), options, generator)
    if options.shuffle == "independent":
        anew = torch.rand(index.shape, generator=generator).argsort(dim=1)
        index = index.gather(1, anew)
    kernels = outputs[:, None] * source.shape[1] + index
    return kernels.where((outputs[:, None] >= 0) & (index >= 0), torch.tensor(OWN))


def _index_map(
    source: tuple[int, int],
    target: tuple[int, int],
    rank_source: Callable[[], Tensor],
    rank_target: Callable[[], Tensor],
    options: VarianceOptions,
    generator: Generator,
) -> Tensor:
    """Return [rows, target channels] indices into the source channels; sizes are (rows, channels).

    Ranking reads all weights, so it is done only where a choice needs it.
    """
    rows, num_target = target
    num_source = source[1]
    if num_source > num_target:
        return choose(rank_source, source, options.keep, num_target, generator)
    if num_source == num_target:
        return torch.arange(num_source).expand(rows, num_source)
    slots = choose(rank_target, target, options.remove, num_source, generator)
    index = torch.full((rows, num_target), OWN)
    return index.scatter(1, slots, torch.arange(num_source).expand(rows, num_source))


def _channel_variance(weight: Tensor, dim: int) -> Tensor:
    """Return the population variance of every output (`dim` 0) or input (1) channel, from two moments.

    Summed in memory order, which takes a tenth of the time of torch's own `var`.
    """
    first, second = weight.float(), weight.float().square()
    if dim == 1:
        first, second = first.mean(0), second.mean(0)  # [in, kh, kw]
    return second.flatten(1).mean(1) - first.flatten(1).mean(1).square()


def _spread(filters: Tensor) -> Tensor:
    """Return the variance of every kernel [out, in]; a 1x1 kernel has none, its square ranks it instead."""
    kernels = filters.float().flatten(2)
    second = kernels.square().mean(2)
    return second if kernels.shape[2] == 1 else second - kernels.mean(2).square()


def _share(index: Tensor) -> float:
    return float((index >= 0).double().mean())


def _kernel_overlap(source: Tensor, target: Tensor) -> float:
    """Return the share of a target kernel's positions that source values reach."""
    return prod(min(a, b) for a, b in zip(source.shape[2:], target.shape[2:], strict=True)) / prod(target.shape[2:])


def _describe_change(source: Tensor, target: Tensor) -> str:
    return f"{'x'.join(map(str, source.shape))} -> {'x'.join(map(str, target.shape))}"


def _with_bias(match: LayerMatch, mapped: Mapped, outputs: Tensor | None) -> Mapped:
    assert match.source is not None
    bias, source_bias = match.target.find("bias"), match.source.find("bias")
    if bias is None:
        return mapped
    if source_bias is None:
        row = keep_row(bias.name, bias.shape, f"{match.reason}; the source layer has no bias")
        return Mapped((*mapped.rows, row), mapped.arrays)
    if outputs is None:
        row = _row(bias, source_bias, "copy", {}, 1.0, f"{match.reason}; same shape")
        return Mapped((*mapped.rows, row), mapped.arrays)
    row = _row(bias, source_bias, "gather", {}, _share(outputs), f"{match.reason}; follows its filters")
    return Mapped((*mapped.rows, row), {**mapped.arrays, f"{bias.name}:index0": outputs})


def _row(
    tensor: TensorSpec,
    source: TensorSpec,
    operation: str,
    parameters: dict[str, int | float | str],
    transferred: float,
    reason: str,
) -> PlanRow:
    return PlanRow.model_validate(
        {
            "tensor": tensor.name,
            "shape": tensor.shape,
            "source": source.name,
            "operation": operation,
            "parameters": parameters,
            "transferred": transferred,
            "reason": reason,
        }
    )

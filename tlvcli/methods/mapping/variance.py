"""Variance mapping (TLV), corrected: a weight of one width and kernel size becomes another.

Channels are ranked by the population variance of their weights. A narrower target keeps some source channels, a
wider one gives some of its slots to them and keeps its own initialisation elsewhere. Against the authors' code
(see `variance_reference`), equal shapes are copied, chosen channels keep their order and are the same in every
filter, `random` draws without replacement, `two-tailed` and `interleaved` hold for any number, kernels need not
be square nor differ by an even number, and the bias follows its filter. Beside convolutions of images, which the
authors map, it takes linear layers and vectors.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import TYPE_CHECKING

import torch

from tlvcli.core.plan import OWN, LayerMatch, Mapped
from tlvcli.methods.mapping.index_maps import describe_change, gathered, row, share_of
from tlvcli.methods.mapping.options import Choice, VarianceOptions

if TYPE_CHECKING:
    from torch import Generator, Tensor


def map_by_variance(
    match: LayerMatch, source: Tensor, target: Tensor, *, options: VarianceOptions, generator: Generator
) -> Mapped:
    """Plan one weight [out, in, kh, kw], [out, in] or [out].

    Returns:
        A row and its maps: [out] and [in], or [out, in] where every filter chooses for itself.
    """
    if source.shape == target.shape and options.shuffle == "off":
        return gathered(match, [None] * source.dim())
    if source.dim() > 4 or source.dim() == 3 or match.target.kind == "conv-transpose":
        # Maps of nothing but OWN keep the layer, and what follows it.
        return gathered(match, [torch.full((size,), OWN) for size in target.shape])
    outputs = _choose_channels(source, target, 0, options, generator)  # [out]
    if source.dim() < 4:
        inputs = [_choose_channels(source, target, dim, options, generator) for dim in range(1, source.dim())]
        return gathered(match, [outputs, *inputs])
    return _map_convolution(match, source, target, outputs, options, generator)


def _map_convolution(
    match: LayerMatch,
    source: Tensor,
    target: Tensor,
    outputs: Tensor,
    options: VarianceOptions,
    generator: Generator,
) -> Mapped:
    assert match.source is not None
    tensor = match.target.leading
    if options.fan_in == "per-layer" and options.shuffle != "independent":
        inputs = _choose_channels(source, target, 1, options, generator)  # [in]
        arrays = {f"{tensor.name}:outputs": outputs, f"{tensor.name}:inputs": inputs}
        fed = share_of(outputs) * share_of(inputs)
    else:
        kernels = _choose_kernels(source, target, outputs, options, generator)  # [out, in]
        arrays = {f"{tensor.name}:kernels": kernels}
        fed = share_of(kernels)
    mapped = row(
        tensor,
        match.source.leading,
        "kernels",
        {"pad": options.pad, "pool": options.pool},
        fed * _kernel_overlap(source, target),
        "; ".join(
            [match.reason, describe_change(match.source.leading, tensor), *_describe_kernel(source, target, options)]
        ),
    )
    return Mapped((mapped,), arrays, outputs=outputs)


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
    if weight.dim() == 1:
        return second  # one value has no variance, its square ranks it instead
    if dim == 1:
        first, second = first.mean(0), second.mean(0)  # [in, kh, kw]
    return _mean_of_each(second) - _mean_of_each(first).square()


def _mean_of_each(values: Tensor) -> Tensor:
    return values.flatten(1).mean(1) if values.dim() > 1 else values


def _spread(filters: Tensor) -> Tensor:
    """Return the variance of every kernel [out, in]; a 1x1 kernel has none, its square ranks it instead."""
    kernels = filters.float().flatten(2)
    second = kernels.square().mean(2)
    return second if kernels.shape[2] == 1 else second - kernels.mean(2).square()


def _describe_kernel(source: Tensor, target: Tensor, options: VarianceOptions) -> list[str]:
    """Return what becomes of a kernel of another size; one may shrink in height and grow in width."""
    sizes = list(zip(source.shape[2:], target.shape[2:], strict=True))
    around = "zeros" if options.pad == "zero" else "the target's own values"
    shrinks, grows = any(have > want for have, want in sizes), any(have < want for have, want in sizes)
    return [f"kernel pooled ({options.pool})"] * shrinks + [f"kernel amid {around}"] * grows


def _kernel_overlap(source: Tensor, target: Tensor) -> float:
    """Return the share of a target kernel's positions that source values reach."""
    return prod(min(a, b) for a, b in zip(source.shape[2:], target.shape[2:], strict=True)) / prod(target.shape[2:])

"""Which kernels look alike on both data sets, and which have shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tlvcli.core.errors import TlvError
from tlvcli.methods.statistics.options import SelectionOptions
from tlvcli.methods.statistics.table import Statistic


@dataclass(frozen=True)
class LayerDistances:
    """What one statistic says about one layer, before anything is judged.

    Args:
        layer_name: of the layer.
        num_channels: C.
        distances: [C], or [] where the statistic's unit is the layer.
        null: [splits, C] or [splits]: the distances without a difference; None where the statistic has no null.
        p_values: [C], where the statistic has its own (`welch-t`); else None, and the permutations give them.
        sampled: like `distances`, of the two reservoirs only.
        permuted: like `null`, of the images of both reservoirs dealt at random.
    """

    layer_name: str
    num_channels: int
    distances: Tensor
    null: Tensor | None = None
    p_values: Tensor | None = None
    sampled: Tensor | None = None
    permuted: Tensor | None = None


@dataclass(frozen=True)
class LayerSelection:
    """Which kernels of one layer have shifted, and by what rule.

    Args:
        layer_name: of the layer.
        general: [C] bool: looks alike on both sets, may stay frozen.
        specific: [C] bool: shifted, wants training; the opposite of `general`.
        distance: of the layer: the median over kernels, or the statistic's one number.
        threshold: beyond it a kernel (or the layer) is specific; None where q-values decide.
        null_band: 5th, 50th and 95th percentile of the null (of the layer's distance where layers are selected);
            None where the statistic has no null.
        p_values: [C], or [1] where layers are judged; None where neither the null nor the statistic gives any.
        q_values: the p-values after Benjamini and Hochberg (1995) over all layers together.
    """

    layer_name: str
    general: Tensor
    specific: Tensor
    distance: float
    threshold: float | None
    null_band: tuple[float, float, float] | None
    p_values: Tensor | None
    q_values: Tensor | None


def select_kernels(
    layers: Sequence[LayerDistances], statistic: Statistic, options: SelectionOptions
) -> tuple[LayerSelection, ...]:
    """Judge all layers of a network at once, as false-discovery rates and fractions are over all of them.

    Raises:
        TlvError: `null-missing`, where the rule needs a null and the statistic has none.
    """
    judged = [_items(layer, statistic, options) for layer in layers]
    sizes = [len(layer.distances) for layer in judged]
    p_values = _p_values(judged)
    q_values = None if p_values is None else _q_values(p_values)
    specific, thresholds = _judge(judged, statistic, options, q_values)
    none = [None] * len(layers)
    return tuple(
        LayerSelection(
            layer.layer_name,
            general=~shifted.expand(layer.num_channels),
            specific=shifted.expand(layer.num_channels).clone(),
            distance=layer.distances.flatten().quantile(0.5).item(),
            threshold=threshold,
            null_band=None if items.null is None else _band(items.null),
            p_values=p,
            q_values=q,
        )
        for layer, items, shifted, threshold, p, q in zip(
            layers,
            judged,
            torch.split(specific, sizes),
            thresholds,
            none if p_values is None else torch.split(p_values, sizes),
            none if q_values is None else torch.split(q_values, sizes),
            strict=True,
        )
    )


def _items(layer: LayerDistances, statistic: Statistic, options: SelectionOptions) -> LayerDistances:
    """What is judged: the kernels, [C] and [splits, C], or the layer as a whole, [1] and [splits, 1]."""
    if statistic.unit == "kernel" and options.select == "kernels":
        return layer

    def whole(values: Tensor | None) -> Tensor | None:
        if values is None:
            return None
        return values[..., None] if statistic.unit == "layer" else values.quantile(0.5, dim=-1, keepdim=True)

    distances = whole(layer.distances)
    assert distances is not None
    return replace(
        layer,
        distances=distances,
        null=whole(layer.null),
        p_values=None,
        sampled=whole(layer.sampled),
        permuted=whole(layer.permuted),
    )


def _judge(
    judged: Sequence[LayerDistances], statistic: Statistic, options: SelectionOptions, q_values: Tensor | None
) -> tuple[Tensor, list[float | None]]:
    distances = torch.cat([layer.distances for layer in judged])
    if statistic.name == "seed-kl" and options.alpha is None and options.fraction is None:
        from tlvcli.methods.statistics.seed_kl import DEFAULT_THRESHOLD, UPPER_END

        low = DEFAULT_THRESHOLD if options.threshold is None else options.threshold
        return ~((distances > low) & (distances < UPPER_END)), [low] * len(judged)
    shifts = distances if statistic.larger_is_shifted else -distances
    if options.threshold is not None:
        return shifts > options.threshold, [options.threshold] * len(judged)
    if options.fraction is not None:
        return _largest(distances, shifts, options.fraction, len(judged))
    if options.alpha is not None:
        if q_values is None:
            raise _no_null(statistic)
        return q_values <= options.alpha, [None] * len(judged)
    thresholds = []
    for layer in judged:
        if layer.null is None:
            raise _no_null(statistic)
        thresholds.append(torch.quantile(layer.null.flatten(), options.percentile / 100).item())
    shifted = [layer.distances > threshold for layer, threshold in zip(judged, thresholds, strict=True)]
    return torch.cat(shifted), list(thresholds)


def _largest(distances: Tensor, shifts: Tensor, fraction: float, num_layers: int) -> tuple[Tensor, list[float | None]]:
    """The given share of all kernels; the threshold is the largest shift that is not among them."""
    num_shifted = round(fraction * len(shifts))
    order = shifts.argsort(descending=True, stable=True)
    specific = torch.zeros_like(shifts, dtype=torch.bool)
    specific[order[:num_shifted]] = True
    threshold = distances[order[num_shifted]].item() if num_shifted < len(shifts) else None
    return specific, [threshold] * num_layers


def _p_values(judged: Sequence[LayerDistances]) -> Tensor | None:
    """The statistic's own, or the share of permutations that are as large.

    Kernels differ in how much they vary, so each distance is divided by the mean of its kernel's permutations; then
    those of all kernels are one, large enough for the small p-values that correcting for thousands of kernels asks for.
    """
    own = [layer.p_values for layer in judged if layer.p_values is not None]
    if len(own) == len(judged):
        return torch.cat(own)
    sampled = [layer.sampled for layer in judged if layer.sampled is not None]
    permuted = [layer.permuted for layer in judged if layer.permuted is not None]
    if len(sampled) != len(judged) or len(permuted) != len(judged):
        return None
    distances, dealt = torch.cat(sampled), torch.cat(permuted, dim=1)
    scale = dealt.mean(0)
    safe = torch.where(scale > 0, scale, 1)
    pooled = torch.sort((dealt / safe).flatten()).values
    # Without any variation over all images of both sets, nothing differs either.
    ratios = torch.where(scale > 0, distances / safe, 0)
    num_larger = len(pooled) - torch.searchsorted(pooled, ratios)
    return (1 + num_larger).double() / (1 + len(pooled))


def _q_values(p_values: Tensor) -> Tensor:
    from scipy.stats import false_discovery_control

    return torch.from_numpy(false_discovery_control(p_values.numpy(), method="bh"))


def _band(null: Tensor) -> tuple[float, float, float]:
    low, middle, high = torch.quantile(null.flatten(), torch.tensor([0.05, 0.5, 0.95], dtype=null.dtype)).tolist()
    return low, middle, high


def _no_null(statistic: Statistic) -> TlvError:
    return TlvError(
        "null-missing",
        f"{statistic.name} has no null to compare with",
        "decide by --threshold or --fraction, or choose another --statistic",
    )

"""From two summaries of each layer to what the report says of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from tlvcli.methods.statistics.compare import compare
from tlvcli.methods.statistics.options import SelectionOptions
from tlvcli.methods.statistics.selection import LayerDistances, LayerSelection, select_kernels
from tlvcli.methods.statistics.summary import LayerSummary
from tlvcli.methods.statistics.table import Statistic
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.result import LayerStatistic, NullBand, ShiftedLayer

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from tlvcli.models.activations import Tap


def judge_layers(
    config: AnalyzeStatsConfig,
    taps: Sequence[Tap],
    weights: Mapping[str, str],
    statistics: Sequence[Statistic],
    source: Mapping[str, LayerSummary],
    target: Mapping[str, LayerSummary],
    generator: torch.Generator,
) -> list[ShiftedLayer]:
    """Return every layer with all its statistics; `weights` names the tensor of each that a mask would name.

    Raises:
        TlvError: `too-few-images-for-a-null`, `too-few-images-for-a-statistic` or `null-missing`.
    """
    described: dict[str, list[tuple[LayerStatistic, LayerSelection]]] = {tap.layer: [] for tap in taps}
    options = SelectionOptions(
        select=config.select, threshold=config.threshold, fraction=config.fraction, alpha=config.alpha
    )
    # A threshold and a share need no null, so they work on few images, too.
    num_splits = 0 if config.threshold is not None or config.fraction is not None else config.splits
    for place, statistic in enumerate(statistics):
        distances = [
            compare(source[tap.layer], target[tap.layer], statistic, num_splits=num_splits, generator=generator)
            for tap in taps
        ]
        is_judged = place == 0 or _can_judge(statistic, config)
        # Ranks need no rule: what is not judged still has a distance for each layer.
        by = options if is_judged else SelectionOptions(select=config.select, fraction=0)
        for tap, layer, selection in zip(taps, distances, select_kernels(distances, statistic, by), strict=True):
            effects = _effect_sizes(statistic, source[tap.layer], target[tap.layer])
            row = _describe(statistic, layer, selection, effects, is_judged=is_judged)
            described[tap.layer].append((row, selection))
    return [_layer(tap, weights[tap.layer], described[tap.layer]) for tap in taps]


def _can_judge(statistic: Statistic, config: AnalyzeStatsConfig) -> bool:
    """Return whether the rule of the first statistic means something for another: no threshold does, no null may."""
    if config.fraction is not None:
        return True
    return config.threshold is None and statistic.null_power is not None


def _describe(
    statistic: Statistic,
    layer: LayerDistances,
    selection: LayerSelection,
    effects: list[float] | None,
    *,
    is_judged: bool,
) -> LayerStatistic:
    band = selection.null_band
    return LayerStatistic(
        name=statistic.name,
        distance=selection.distance,
        null=NullBand(low=band[0], median=band[1], high=band[2]) if band else None,
        threshold=selection.threshold if is_judged else None,
        shifted=int(selection.specific.sum()) if is_judged else None,
        kernels=layer.distances.tolist() if statistic.unit == "kernel" else None,
        p_values=_list(selection.p_values),
        q_values=_list(selection.q_values),
        effect_sizes=effects,
    )


def _effect_sizes(statistic: Statistic, source: LayerSummary, target: LayerSummary) -> list[float] | None:
    if statistic.name != "welch-t":
        return None
    from tlvcli.methods.statistics.welch import welch_test

    return _list(welch_test(source, target).cohens_d)


def _layer(tap: Tap, weight: str, described: Sequence[tuple[LayerStatistic, LayerSelection]]) -> ShiftedLayer:
    first = described[0][1]
    specific: list[int] = first.specific.nonzero().flatten().tolist()
    return ShiftedLayer(
        name=tap.layer,
        kind=tap.kind,
        stage=tap.stage,
        weight=weight,
        channels=tap.num_channels,
        values_per_image=tap.values_per_image,
        shifted=len(specific),
        share=len(specific) / tap.num_channels,
        specific=specific,
        statistics=[statistic for statistic, _ in described],
    )


def _list(values: Tensor | None) -> list[float] | None:
    return None if values is None else values.tolist()

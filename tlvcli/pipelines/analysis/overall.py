"""The layers together: how many kernels are shifted, whether early or late, and what to make of it."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.result import OverallShift, Rule, ShiftedLayer

_EXPECTED_SHARE: dict[Rule, float | None] = {
    "null percentile": 0.05,  # above the null's 95th percentile, by its definition
    "threshold": None,
    "fraction": None,
    "alpha": 0.0,  # without any shift a false-discovery rate is the chance of one rejection, not a share of kernels
    "seed-kl": None,
}
_MOST_TIMES_CHANCE = 2  # kernels of a network go together, so their number scatters widely around chance
_NOTABLE = 0.15  # difference of two shares that is worth a word
_NEARLY_ALL = 0.8
_NAMED = 3


def describe_overall(layers: Sequence[ShiftedLayer], config: AnalyzeStatsConfig, rule: Rule) -> OverallShift:
    """Sum the layers up; `layers` are in the order of the network."""
    expected = _EXPECTED_SHARE[rule]
    num_kernels = sum(layer.channels for layer in layers)
    third = math.ceil(len(layers) / 3)
    early, late = _share(layers[:third]), _share(layers[-third:])
    general = [layer.name for layer in layers if layer.shifted <= _most_by_chance(layer.channels, expected)]
    is_general = sum(layer.shifted for layer in layers) <= _MOST_TIMES_CHANCE * (expected or 0) * num_kernels
    by_share = sorted((layer for layer in layers if layer.shifted), key=lambda layer: -layer.share)
    share = _share(layers)
    return OverallShift(
        kernels=num_kernels,
        shifted=sum(layer.shifted for layer in layers),
        share=share,
        expected_share=expected,
        early_share=early,
        late_share=late,
        general_layers=general,
        most_shifted=[layer.name for layer in by_share[:_NAMED]],
        advice=_advise(early, late, config, expected, is_general=is_general or len(general) == len(layers)),
    )


def _most_by_chance(channels: int, expected: float | None) -> float:
    """Return how many of `channels` may be beyond the threshold without a shift, three standard errors allowed."""
    share = expected or 0.0
    return channels * share + 3 * math.sqrt(channels * share * (1 - share))


def _share(layers: Sequence[ShiftedLayer]) -> float:
    return sum(layer.shifted for layer in layers) / sum(layer.channels for layer in layers)


def _advise(early: float, late: float, config: AnalyzeStatsConfig, expected: float | None, *, is_general: bool) -> str:
    """Say in words what the shares mean for training; general layers may stay frozen, specific ones want training."""
    if is_general:
        found = "Nothing is shifted" if expected is None else "No more is shifted than chance explains"
        return f"{found}: all layers may stay frozen, and a new head may do."
    unit = "layers" if config.select == "layers" else "kernels"
    if min(early, late) > _NEARLY_ALL:
        return (
            f"Nearly all {unit} are shifted, at every depth: train everything, or look at how the images are prepared."
        )
    if late - early > _NOTABLE:
        return f"Early {unit} are shifted less than late ones: freeze from the input on, train towards the output."
    if early - late > _NOTABLE:
        return (
            f"It is the early {unit} that are shifted: look at contrast, sharpness and preparation of the images "
            "first, then train from the input on."
        )
    return f"Shifted {unit} lie at all depths: freeze the general ones with --mask, or train everything."

"""Two summaries of one layer and a statistic in, everything that the selection needs out."""

from __future__ import annotations

import torch

from tlvcli.core.config import Config
from tlvcli.core.errors import TlvError
from tlvcli.methods.statistics.null import null_distances, permuted_distances
from tlvcli.methods.statistics.selection import LayerDistances
from tlvcli.methods.statistics.summary import LayerSummary
from tlvcli.methods.statistics.table import Statistic
from tlvcli.methods.statistics.welch import welch_test


def compare(
    source: LayerSummary,
    target: LayerSummary,
    statistic: Statistic,
    *,
    num_splits: int = 100,
    generator: torch.Generator,
    options: Config | None = None,
) -> LayerDistances:
    """Return the distances of one layer with their null and, for `welch-t`, its p-values.

    With `num_splits` 0 neither a null nor permutations are drawn: a threshold or a fraction needs none.

    Raises:
        TlvError: `too-few-images-for-a-null`, `too-few-images-for-a-statistic`.
    """
    for name, summary in (("source", source), ("target", target)):
        if summary.num_images < statistic.needs_images:
            raise TlvError(
                "too-few-images-for-a-statistic",
                f"{statistic.name} compares images, and the {name} has {summary.num_images}",
                f"give at least {statistic.needs_images} images, or choose another --statistic",
            )
    options = options or statistic.load_options()()
    null = sampled = permuted = None
    p_values = welch_test(source, target).p_values if statistic.name == "welch-t" else None
    if num_splits and statistic.null_power is not None:
        null = null_distances(
            source,
            statistic,
            num_splits=num_splits,
            generator=generator,
            target_images=target.num_images,
            options=options,
        )
        sampled, permuted = permuted_distances(
            source, target, statistic, num_splits=num_splits, generator=generator, options=options
        )
    return LayerDistances(
        source.layer_name,
        source.num_channels,
        distances=statistic.distance(source, target, options),
        null=null,
        p_values=p_values,
        sampled=sampled,
        permuted=permuted,
    )

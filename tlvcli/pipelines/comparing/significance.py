"""Whether a difference over seeds is more than their spread: paired t-tests, held to account for their number."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from statistics import mean, stdev

from tlvcli.core.report import ReportPart


class Difference(ReportPart):
    """How far one variant is from the baseline, seed by seed on the same images; ends of the 95 % interval.

    `p` is that of the paired t-test; `p_holm` is held against all comparisons of the table.
    """

    seeds: int
    mean: float
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None = None


def paired_difference(values: Sequence[float], baseline: Sequence[float]) -> Difference:
    """Return the difference of paired values, with its t-interval and p-value where there are at least two pairs.

    The interval ends where a difference of shares does, at -1 and 1.
    Where all differences are the same, the test has nothing to go by: p is None, or 1 where there is none at all.
    """
    differences = [value - base for value, base in zip(values, baseline, strict=True)]
    middle, num = mean(differences), len(differences)
    spread = stdev(differences) if num > 1 else 0.0
    # Shares of the same images differ in steps; what is left below that is rounding.
    if spread < 1e-12:
        p = 1.0 if num > 1 and abs(middle) < 1e-12 else None
        return Difference(seeds=num, mean=middle, low=None, high=None, p=p)
    from scipy.stats import ttest_rel

    reach = interval_reach(num) * spread
    p = float(ttest_rel(values, baseline).pvalue)
    return Difference(seeds=num, mean=middle, low=max(-1.0, middle - reach), high=min(1.0, middle + reach), p=p)


def interval_reach(num_seeds: int) -> float:
    """Return how far the 95 % t-interval of a mean reaches to each side, in standard deviations over the seeds.

    A difference is told from chance where it is larger: 9.0 times its spread for two seeds, 2.5 for three, 1.2 for
    five.
    """
    from scipy.stats import t

    return float(t.ppf(0.975, num_seeds - 1)) / sqrt(num_seeds)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Return p-values adjusted by Holm's step-down method; None stays, and does not count.

    Source: Holm 1979, A simple sequentially rejective multiple test procedure.
    """
    known = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(known):
        largest = max(largest, min(1.0, (len(known) - rank) * p))
        adjusted[place] = largest
    return adjusted

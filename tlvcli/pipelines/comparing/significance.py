"""Whether a difference over seeds is more than their spread: paired t-tests, held to account for their number."""

from __future__ import annotations

from collections.abc import Sequence
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

    Where all differences are the same, the test has nothing to go by: p is None, or 1 where there is none at all.
    """
    differences = [value - base for value, base in zip(values, baseline, strict=True)]
    middle, num = mean(differences), len(differences)
    spread = stdev(differences) if num > 1 else 0.0
    # Shares of the same images differ in steps; what is left below that is rounding.
    if spread < 1e-12:
        p = 1.0 if num > 1 and abs(middle) < 1e-12 else None
        return Difference(seeds=num, mean=middle, low=None, high=None, p=p)
    from scipy.stats import t, ttest_rel

    reach = float(t.ppf(0.975, num - 1)) * spread / num**0.5
    p = float(ttest_rel(values, baseline).pvalue)
    return Difference(seeds=num, mean=middle, low=middle - reach, high=middle + reach, p=p)


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

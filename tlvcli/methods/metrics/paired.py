"""Two networks on the same images: does one get more of them right, or is it chance?"""

from __future__ import annotations

import math
from dataclasses import dataclass

from tlvcli.methods.metrics.intervals import wilson_interval


@dataclass(frozen=True)
class PairedAnswers:
    """Counts of images that both networks, only one of them, or neither gets right."""

    both: int
    only_first: int
    only_other: int
    neither: int

    @property
    def images(self) -> int:
        """All of them."""
        return self.both + self.only_first + self.only_other + self.neither

    @property
    def difference(self) -> float:
        """The other's share of right answers less the first one's."""
        return (self.only_other - self.only_first) / self.images


def mcnemar_p_value(answers: PairedAnswers) -> float:
    """Return the two-sided p-value of McNemar's exact test (1947): only images that one alone gets right tell.

    By the binomial distribution however many they are; the usual approximation by chi-squared is not needed.
    """
    from scipy.special import bdtr

    fewer, disagreeing = min(answers.only_first, answers.only_other), answers.only_first + answers.only_other
    return min(1.0, 2 * float(bdtr(fewer, disagreeing, 0.5)))


def paired_interval(answers: PairedAnswers) -> tuple[float, float]:
    """Return the 95 % interval of the difference (Newcombe 1998, method 10): from two Wilson intervals."""
    images, both = answers.images, answers.both
    first, other = (both + answers.only_first) / images, (both + answers.only_other) / images
    first_low, first_high = wilson_interval(both + answers.only_first, images)
    other_low, other_high = wilson_interval(both + answers.only_other, images)
    phi = _correlation(answers)

    def reach(a: float, b: float) -> float:
        return math.sqrt(max(0.0, a * a - 2 * phi * a * b + b * b))

    return (
        answers.difference - reach(other - other_low, first_high - first),
        answers.difference + reach(other_high - other, first - first_low),
    )


def _correlation(answers: PairedAnswers) -> float:
    """Return the correlation of the two networks' right answers, which Newcombe corrects for continuity."""
    both, neither, first, other = answers.both, answers.neither, answers.only_first, answers.only_other
    margins = (both + first) * (other + neither) * (both + other) * (first + neither)
    agreement = both * neither - first * other
    if not margins:
        return 0.0
    corrected = max(agreement - answers.images / 2, 0.0) if agreement > 0 else agreement
    return corrected / math.sqrt(margins)

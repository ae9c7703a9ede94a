"""Differences over seeds against a second formula."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from tlvcli.pipelines.comparing.significance import holm, interval_reach, paired_difference


@pytest.mark.parametrize("num", [2, 3, 10])
def test_a_paired_difference_is_a_one_sample_t_test_of_the_differences(num: int) -> None:
    draw = np.random.default_rng(num)
    base = draw.uniform(0.7, 0.9, num)
    values = base + draw.normal(0.02, 0.01, num)
    found = paired_difference(list(values), list(base))
    wanted = ttest_1samp(values - base, 0)
    low, high = wanted.confidence_interval(0.95)
    assert found.seeds == num
    assert found.mean == pytest.approx(np.mean(values - base))
    assert found.p == pytest.approx(wanted.pvalue)
    assert (found.low, found.high) == pytest.approx((low, high))
    statistic = np.mean(values - base) / (np.std(values - base, ddof=1) / np.sqrt(num))
    assert found.p == pytest.approx(2 * t.sf(abs(statistic), num - 1))


def test_one_seed_shows_no_significance() -> None:
    found = paired_difference([0.9], [0.8])
    assert (found.low, found.high, found.p) == (None, None, None)
    assert found.mean == pytest.approx(0.1)


def test_equal_differences_have_no_spread_to_be_tested_by() -> None:
    assert paired_difference([0.5, 0.6, 0.7], [0.5, 0.6, 0.7]).p == 1.0
    assert paired_difference([0.6, 0.7, 0.8], [0.5, 0.6, 0.7]).p is None


def test_holm_multiplies_the_smallest_by_their_number_and_never_falls() -> None:
    # Worked by hand: 3 * 0.01, 2 * 0.02 raised by what is before it, 1 * 0.04 likewise.
    assert holm([0.02, 0.04, 0.01]) == pytest.approx([0.04, 0.04, 0.03])
    assert holm([0.6, 0.5]) == [1.0, 1.0]
    assert holm([None, 0.03, None]) == [None, 0.03, None]
    assert holm([]) == []


def test_holm_rejects_exactly_what_the_step_down_procedure_rejects() -> None:
    draw = np.random.default_rng(0)
    for _ in range(50):
        p = draw.uniform(0, 0.1, 6)
        rejected = np.zeros(6, dtype=bool)
        for rank, place in enumerate(np.argsort(p)):
            if p[place] > 0.05 / (6 - rank):
                break
            rejected[place] = True
        assert [value <= 0.05 for value in holm(list(p)) if value is not None] == list(rejected)


@pytest.mark.parametrize("num", [2, 3, 5])
def test_an_interval_reaches_so_many_spreads(num: int) -> None:
    differences = np.random.default_rng(num).normal(size=num)
    low, high = ttest_1samp(differences, 0).confidence_interval(0.95)
    assert interval_reach(num) == pytest.approx((high - low) / 2 / np.std(differences, ddof=1))


def test_no_difference_of_shares_is_above_one() -> None:
    found = paired_difference([0.1, 0.5], [0.2, 0.3])
    assert (found.low, found.high) == (-1.0, 1.0)

"""Every distance against a second formula."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from scipy import linalg, spatial, stats

from tests.methods.statistics.conftest import activations, summarise
from tlvcli.core.errors import TlvError
from tlvcli.methods.statistics.bins import ACTIVATION_BINS
from tlvcli.methods.statistics.options import DivergenceOptions
from tlvcli.methods.statistics.seed_kl import _histograms
from tlvcli.methods.statistics.table import STATISTICS, Statistic, find_statistic
from tlvcli.methods.statistics.welch import welch_test

SHIFT = torch.tensor([0.0, 0.5, 0.0, -0.4, 2.0, 0.1])
A, B = activations(24, seed=1), activations(31, seed=2, shift=SHIFT)
SOURCE, TARGET = summarise(A), summarise(B)


def distance(name: str) -> np.ndarray:  # type: ignore[type-arg]
    return find_statistic(name).distance(SOURCE, TARGET).numpy()


def histograms() -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    assert SOURCE.histogram is not None
    assert TARGET.histogram is not None
    return SOURCE.histogram.numpy(), TARGET.histogram.numpy()


def logs(stored: torch.Tensor) -> np.ndarray:  # type: ignore[type-arg]
    return np.log(stored.double().transpose(0, 1).flatten(1).numpy() + 1e-4)


@pytest.mark.parametrize("statistic", STATISTICS, ids=lambda statistic: statistic.name)
def test_contract(statistic: Statistic) -> None:
    source, target = summarise(A, statistic.parts), summarise(B, statistic.parts)
    state = torch.random.get_rng_state()
    found = statistic.distance(source, target)
    assert found.shape == ((6,) if statistic.unit == "kernel" else ())
    assert found.dtype == torch.float64
    assert found.isfinite().all()
    assert torch.equal(found, statistic.distance(source, target))
    assert torch.equal(state, torch.random.get_rng_state())
    same = statistic.distance(source, source)
    assert same.isfinite().all()
    if statistic.larger_is_shifted:
        assert (found > 0).all()
        assert same.abs().max() < 1e-6
    dead = summarise(torch.zeros_like(A), statistic.parts)
    assert statistic.distance(dead, dead).isfinite().all()
    assert statistic.distance(dead, target).isfinite().all()
    assert statistic.distance(source, dead).isfinite().all()


def test_lognormal_kl_is_torchs_divergence_of_normal_distributions() -> None:
    a, b = (
        torch.distributions.Normal(torch.from_numpy(x.mean(1)), torch.from_numpy(x.std(1))) for x in (logs(A), logs(B))
    )
    one, other = torch.distributions.kl_divergence(a, b).numpy(), torch.distributions.kl_divergence(b, a).numpy()
    np.testing.assert_allclose(distance("lognormal-kl"), one + other, rtol=1e-6, atol=1e-8)
    function = find_statistic("lognormal-kl").load_function()
    np.testing.assert_allclose(
        function(SOURCE, TARGET, DivergenceOptions(direction="source-to-target")), one, rtol=1e-6
    )
    np.testing.assert_allclose(
        function(SOURCE, TARGET, DivergenceOptions(direction="target-to-source")), other, rtol=1e-6, atol=1e-8
    )


def test_binned_distances_are_scipys_on_the_binned_data() -> None:
    counts, others = histograms()
    p, q = counts + 0.5, others + 0.5
    np.testing.assert_allclose(
        distance("histogram-kl"), stats.entropy(p, q, axis=1) + stats.entropy(q, p, axis=1), rtol=1e-9
    )
    np.testing.assert_allclose(distance("js"), spatial.distance.jensenshannon(counts, others, axis=1) ** 2, rtol=1e-9)
    positions = ACTIVATION_BINS.positions().numpy()
    for index, (count, other) in enumerate(zip(counts, others, strict=True)):
        expected = stats.wasserstein_distance(positions, positions, count, other)
        assert distance("wasserstein")[index] == pytest.approx(expected, rel=1e-9)
        columns = np.arange(len(count))
        rank = stats.ks_2samp(np.repeat(columns, count.astype(int)), np.repeat(columns, other.astype(int)))
        assert distance("ks")[index] == pytest.approx(rank.statistic, rel=1e-9)


def test_bins_lose_little_of_the_unbinned_distances() -> None:
    a, b = (x.transpose(0, 1).flatten(1).numpy() for x in (A, B))
    for index in range(6):
        assert distance("ks")[index] == pytest.approx(stats.ks_2samp(a[index], b[index]).statistic, abs=0.02)
        floored = [np.log(np.maximum(x[index], 2.0**-13)) for x in (a, b)]
        assert distance("wasserstein")[index] == pytest.approx(stats.wasserstein_distance(*floored), abs=0.05)


def test_gram_is_jensen_shannon_of_its_histograms() -> None:
    expected = spatial.distance.jensenshannon(SOURCE.gram_histogram, TARGET.gram_histogram, axis=1) ** 2
    np.testing.assert_allclose(distance("gram"), expected, rtol=1e-9)


def test_gram_forgets_where_along_the_width_but_not_how_much() -> None:
    moved = torch.roll(A, 2, dims=3)
    statistic = find_statistic("gram")
    assert statistic.distance(SOURCE, summarise(moved)).max() < 1e-3
    assert statistic.distance(SOURCE, summarise(A * 3)).min() > 0.1


def test_welch_is_scipys_on_image_means() -> None:
    a, b = (x.double().mean((2, 3)).numpy() for x in (A, B))
    expected = stats.ttest_ind(b, a, equal_var=False)
    found = welch_test(SOURCE, TARGET)
    np.testing.assert_allclose(found.t, expected.statistic, rtol=1e-5)
    np.testing.assert_allclose(found.p_values, expected.pvalue, rtol=1e-4)
    np.testing.assert_allclose(distance("welch-t"), np.abs(expected.statistic), rtol=1e-5)
    pooled = np.sqrt((23 * a.var(0, ddof=1) + 30 * b.var(0, ddof=1)) / 53)
    np.testing.assert_allclose(found.cohens_d, (b.mean(0) - a.mean(0)) / pooled, rtol=1e-5)


def test_welch_of_kernels_without_spread() -> None:
    flat, higher = summarise(torch.zeros(9, 2, 2, 2)), summarise(torch.tensor([0.0, 1.0]).expand(9, 2)[..., None])
    found = welch_test(flat, higher)
    assert found.t[0] == 0
    assert found.p_values.tolist() == [1.0, pytest.approx(0.0, abs=1e-12)]
    assert found.cohens_d.isfinite().all()


def test_frechet_is_the_formula_with_scipys_matrix_root() -> None:
    a, b = (x.double().mean((2, 3)).numpy() for x in (A, B))
    root = linalg.sqrtm(np.cov(a.T) @ np.cov(b.T)).real
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(np.cov(a.T) + np.cov(b.T) - 2 * root)
    assert distance("frechet") == pytest.approx(expected, rel=1e-6)


def test_channel_gram_is_the_relative_distance_of_mean_products() -> None:
    a, b = (x.double().permute(1, 0, 2, 3).flatten(1).numpy() for x in (A, B))
    one, other = a @ a.T / a.shape[1], b @ b.T / b.shape[1]
    expected = np.linalg.norm(one - other) / (np.linalg.norm(one) + np.linalg.norm(other))
    assert distance("channel-gram") == pytest.approx(expected, rel=1e-6)


def two_values(num_low: int, num_high: int) -> torch.Tensor:
    """One channel whose log|a + 1e-4| is 0 or 1: only the first and the last of ten bins hold anything."""
    values = torch.tensor([1.0] * num_low + [float(np.e)] * num_high, dtype=torch.float64) - 1e-4
    return values[None, None]


def test_seed_kl_by_hand() -> None:
    # Smoothed by weights .399, .242, .054, .004, .0001, mirrored at the ends, fractions cut off:
    # 100 at each end gives 64 29 5 0 0 | 0 0 5 29 64, 200 gives 128 59 11 0 0 | 0 0 11 59 128, 1000 a 4 beside.
    def similarity(source: int, target: int) -> float:
        summaries = [summarise(two_values(n, n), frozenset({"samples"})) for n in (source, target)]
        return find_statistic("seed-kl").distance(*summaries).item()

    divergence = 2 * (128 * np.log(2) + 59 * np.log(59 / 29) + 11 * np.log(11 / 5))
    assert similarity(100, 200) == pytest.approx(1 / divergence, rel=1e-12)
    negative = 2 * (64 * np.log(1 / 2) + 29 * np.log(29 / 59) + 5 * np.log(5 / 11))
    assert similarity(200, 100) == pytest.approx(1 / negative, rel=1e-12)
    assert similarity(100, 1000) == 0.0  # a bin empty on the source only: the divergence is infinite
    assert similarity(100, 100) == 1e12  # where the original divides by 0


def test_seed_kl_counts_bins_as_numpy_does() -> None:
    rows = torch.randn(5, 300, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    rows[4] = 2.5
    assert _histograms(rows).tolist() == [np.histogram(row, 10)[0].tolist() for row in rows.numpy()]


def test_seed_kl_draws_4000_values_of_each_of_three_large_batches() -> None:
    stored = activations(16, 2, (80, 80))
    parts = frozenset({"samples"})
    summary = summarise(stored, parts, batch=4)  # type: ignore[arg-type]
    assert summary.samples is not None
    assert {number: tuple(values.shape) for number, values in summary.samples.items()} == dict.fromkeys(
        (0, 4, 8), (2, 4000)
    )
    again = summarise(stored, parts, batch=4)  # type: ignore[arg-type]
    assert again.samples is not None
    assert torch.equal(again.samples[4], summary.samples[4])


def test_an_unknown_statistic() -> None:
    with pytest.raises(TlvError, match="no statistic is called welch") as caught:
        find_statistic("welch")
    assert (caught.value.error_id, caught.value.hint) == ("statistic-unknown", "did you mean welch-t?")


def test_the_table_needs_no_torch() -> None:
    code = (
        "import sys, tlvcli.methods.statistics.table, tlvcli.methods.statistics.options; print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"

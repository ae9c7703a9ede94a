"""What is streamed equals what numpy and scipy compute of the stored activations."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from tests.methods.statistics.conftest import ALL_PARTS, activations, summarise
from tlvcli.core.errors import TlvError
from tlvcli.methods.statistics.bins import ACTIVATION_BINS, GRAM_BINS, Bins
from tlvcli.methods.statistics.moments import shape_of
from tlvcli.methods.statistics.stream import LayerStream
from tlvcli.methods.statistics.summary import LayerSummary, from_tensors, merge, to_tensors

STORED = activations(30)
# [C, all values]
VALUES = STORED.double().transpose(0, 1).flatten(1).numpy()


def assert_same(a: LayerSummary, b: LayerSummary) -> None:
    tensors, others = to_tensors(a), to_tensors(b)
    assert tensors.keys() == others.keys()
    for name, tensor in tensors.items():
        # The product over a batch's positions is float32.
        tolerance = 1e-6 if name == "channel_gram" else 1e-9
        torch.testing.assert_close(tensor, others[name], rtol=tolerance, atol=tolerance, msg=name)


@pytest.mark.parametrize("field", ["log_moments", "value_moments"])
def test_moments_to_the_fourth_order_are_those_of_scipy(field: str) -> None:
    summary = summarise(STORED)
    values = np.log(VALUES + 1e-4) if field == "log_moments" else VALUES
    found = shape_of(summary.count, getattr(summary, field))
    assert summary.count == VALUES.shape[1]
    np.testing.assert_allclose(found.mean, values.mean(1), rtol=1e-6)
    np.testing.assert_allclose(found.std, values.std(1), rtol=1e-6)
    np.testing.assert_allclose(found.skewness, stats.skew(values, axis=1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.kurtosis, stats.kurtosis(values, axis=1, fisher=False), rtol=1e-6)


def test_a_large_map_keeps_its_digits() -> None:
    stored = activations(3, 3, (112, 112)) + 100.0
    logs = stored.double().transpose(0, 1).flatten(1).add(1e-4).log().numpy()
    summary = summarise(stored, frozenset({"log-moments"}))
    assert summary.log_moments is not None
    np.testing.assert_allclose(summary.log_moments[:, 0], logs.mean(1), rtol=1e-7)
    # Of log(1e4 * 100), float32 keeps steps of 1e-6; the spread here is 7e-3.
    np.testing.assert_allclose(summary.log_moments[:, 1] / summary.count, logs.var(1), rtol=1e-4)


def test_a_kernel_that_never_fires_has_no_spread() -> None:
    summary = summarise(torch.zeros(9, 2, 3, 3))
    assert summary.log_moments is not None
    assert summary.value_moments is not None
    found = shape_of(summary.count, summary.log_moments)
    assert found.mean.tolist() == pytest.approx([np.log(1e-4)] * 2)
    assert [values.tolist() for values in (found.std, found.skewness, found.kurtosis)] == [[0.0, 0.0]] * 3


def test_histograms_are_those_of_numpy_on_the_same_edges() -> None:
    signed = STORED - 0.3
    summary = summarise(signed)
    assert summary.histogram is not None
    edges = np.concatenate([[np.finfo(np.float32).tiny], ACTIVATION_BINS.edges(), [np.inf]])
    for values, counts in zip(signed.transpose(0, 1).flatten(1).numpy(), summary.histogram, strict=True):
        expected = np.histogram(np.abs(values), edges)[0]
        assert counts.tolist() == [int((values == 0).sum()), *expected.tolist()]


def test_bins_hold_what_their_edges_say() -> None:
    bins = Bins(low=-1, high=2, split=1)
    edges = [0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0]
    assert bins.edges().tolist() == edges
    counts, is_finite = bins.count(torch.tensor([[0.0, -0.0, 0.49, -0.5, 0.75, 3.99, 4.0, 1e30]]))
    assert counts.tolist() == [[2, 1, 1, 1, 0, 0, 0, 1, 2]]
    assert is_finite
    assert len(bins.positions()) == bins.columns
    assert not bins.count(torch.tensor([[1.0, torch.inf]]))[1]
    assert not bins.count(torch.tensor([[torch.nan, 1.0]]))[1]


def test_image_means_scatter_and_gram_matrices() -> None:
    summary = summarise(STORED)
    means = STORED.double().mean((2, 3)).numpy()
    assert summary.image_moments is not None
    np.testing.assert_allclose(summary.image_moments[:, 0], means.mean(0), rtol=1e-6)
    np.testing.assert_allclose(summary.image_moments[:, 1], means.var(0) * len(means), rtol=1e-6)
    np.testing.assert_allclose(summary.scatter, np.cov(means.T) * (len(means) - 1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(summary.channel_gram, VALUES @ VALUES.T, rtol=1e-6)
    assert summary.gram_histogram is not None
    maps = STORED[:, 2].numpy()
    products = np.concatenate([(one @ one.T / 4).ravel() for one in maps])
    edges = np.concatenate([[np.finfo(np.float32).tiny], GRAM_BINS.edges(), [np.inf]])
    expected = [int((products == 0).sum()), *np.histogram(products, edges)[0].tolist()]
    # A product may be rounded across an edge.
    assert np.abs(summary.gram_histogram[2].numpy() - expected).sum() <= 4


def test_merging_equals_one_pass_in_any_grouping() -> None:
    numbers = torch.arange(30)
    whole = summarise(STORED, capacity=11)
    parts = [summarise(STORED[k : k + 8], numbers=numbers[k : k + 8], capacity=11) for k in range(0, 30, 8)]
    assert_same(whole, merge(merge(parts[0], parts[1]), merge(parts[2], parts[3])))
    assert_same(whole, merge(parts[3], merge(parts[2], merge(parts[1], parts[0]))))


def test_the_order_and_size_of_batches_do_not_matter() -> None:
    parts = ALL_PARTS - {"samples"}
    order = torch.randperm(30, generator=torch.Generator().manual_seed(1))
    shuffled = summarise(STORED[order], parts, numbers=order, capacity=11)
    assert_same(summarise(STORED, parts, capacity=11), shuffled)
    # Float32 sums within an image may come out otherwise in another block.
    torch.testing.assert_close(
        summarise(STORED, parts, batch=30).log_moments, summarise(STORED, parts, batch=1).log_moments, rtol=1e-7, atol=0
    )


def test_a_summary_survives_the_way_to_another_process() -> None:
    summary = summarise(STORED)
    assert_same(summary, from_tensors("layer", to_tensors(summary)))
    plain = summarise(STORED, frozenset({"log-moments"}))
    again = from_tensors("layer", to_tensors(plain))
    assert again.samples is None
    assert again.histogram is None
    assert again.reservoir is not None
    assert_same(plain, again)


def test_the_reservoir_is_bounded_and_holds_the_images_themselves() -> None:
    summary = summarise(STORED, capacity=11)
    kept = summary.reservoir
    assert kept is not None
    assert kept.image_means is not None
    assert kept.histogram is not None
    assert kept.num_images == 11
    means = STORED.mean((2, 3)).double()
    distance = torch.cdist(kept.image_means, means)
    images = distance.argmin(1)
    assert distance.amin(1).max() < 1e-6
    assert len(images.unique()) == 11
    assert kept.histogram.shape == (11, 6, ACTIVATION_BINS.columns)
    assert (kept.histogram.sum(-1) == 20).all()
    # Another seed keeps others.
    other = LayerStream(6, parts=ALL_PARTS, seed=8, layer_name="layer", device=STORED.device, capacity=11)
    other.update(STORED, torch.arange(30))
    assert (other.summary().reservoir.keys != kept.keys).all()  # type: ignore[union-attr]


def test_a_layer_that_runs_twice_counts_both_runs_for_the_same_images() -> None:
    stream = LayerStream(6, parts=ALL_PARTS, seed=7, layer_name="layer", device=STORED.device)
    for begin in range(0, 30, 10):
        numbers = torch.arange(begin, begin + 10)
        stream.update(STORED[begin : begin + 10, :, :2], numbers)
        stream.update(STORED[begin : begin + 10, :, 2:], numbers)
    found, whole = stream.summary(), summarise(STORED, batch=10)
    assert (found.num_images, found.count) == (30, whole.count)
    for name in ("log_moments", "value_moments", "histogram", "image_moments", "scatter", "channel_gram"):
        torch.testing.assert_close(getattr(found, name), getattr(whole, name), rtol=1e-6, atol=1e-5, msg=name)
    assert found.reservoir is not None
    assert whole.reservoir is not None
    torch.testing.assert_close(found.reservoir.log_moments, whole.reservoir.log_moments, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("size", [(), (7,), (2, 3, 4)])
def test_features_tokens_and_volumes(size: tuple[int, ...]) -> None:
    stored = activations(12, 4, size)
    summary = summarise(stored)
    values = stored.double().reshape(12, 4, -1).transpose(0, 1).flatten(1).numpy()
    assert summary.log_moments is not None
    np.testing.assert_allclose(summary.log_moments[:, 0], np.log(values + 1e-4).mean(1), rtol=1e-6)
    assert summary.gram_histogram is not None
    height = size[0] if len(size) > 1 else 1
    assert summary.gram_histogram.sum(-1).tolist() == [12 * height**2] * 4


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_other_precisions(dtype: torch.dtype) -> None:
    stored = STORED.to(dtype)
    logs = np.log(stored.double().transpose(0, 1).flatten(1).numpy() + 1e-4)
    summary = summarise(stored)
    assert summary.log_moments is not None
    np.testing.assert_allclose(summary.log_moments[:, 1], logs.var(1) * logs.shape[1], rtol=1e-6)


def test_channels_last_is_the_same() -> None:
    assert_same(summarise(STORED), summarise(STORED.to(memory_format=torch.channels_last)))


@pytest.mark.parametrize("part", sorted(ALL_PARTS))
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_activations_that_are_not_finite_are_named(part: str, value: float) -> None:
    broken = STORED.clone()
    broken[12, 3, 1, 1] = value
    with pytest.raises(TlvError, match=r"features\.3: an activation is NaN or infinite") as caught:
        summarise(broken, frozenset({part}), name="features.3")  # type: ignore[arg-type]
    assert caught.value.error_id == "activations-not-finite"


def test_activations_are_not_touched_and_summaries_leave_inference_mode() -> None:
    stored = STORED.clone()
    with torch.inference_mode():
        first = summarise(stored[:16])
    second = summarise(stored[16:].requires_grad_(), numbers=torch.arange(16, 30))
    assert_same(summarise(STORED), merge(first, second))
    assert torch.equal(stored, STORED)

"""Thresholds, fractions, false-discovery rates, and which of them a statistic has."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import false_discovery_control

from tlvcli.core.config import parse_config
from tlvcli.core.errors import TlvError
from tlvcli.methods.statistics.options import SelectionOptions
from tlvcli.methods.statistics.selection import LayerDistances, select_kernels
from tlvcli.methods.statistics.table import find_statistic


def values(numbers: list[float]) -> torch.Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


LOGNORMAL = find_statistic("lognormal-kl")
LAYERS = (
    LayerDistances("a", 4, values([0.1, 0.2, 0.3, 4.0])),
    LayerDistances("b", 3, values([0.25, 5.0, 0.0])),
)


def with_null(layer: LayerDistances, seed: int) -> LayerDistances:
    generator = torch.Generator().manual_seed(seed)
    null = torch.rand(100, layer.num_channels, generator=generator, dtype=torch.float64)
    return LayerDistances(layer.layer_name, layer.num_channels, layer.distances, null)


def with_permutations(layer: LayerDistances, seed: int) -> LayerDistances:
    return replace(layer, sampled=layer.distances, permuted=with_null(layer, seed).null)


def specific(
    options: SelectionOptions, layers: tuple[LayerDistances, ...] = LAYERS, name: str = "lognormal-kl"
) -> object:
    found = select_kernels(layers, find_statistic(name), options)
    assert all(torch.equal(layer.general, ~layer.specific) for layer in found)
    return [layer.specific.int().tolist() for layer in found]


def test_a_threshold_is_the_same_everywhere() -> None:
    assert specific(SelectionOptions(threshold=0.25)) == [[0, 0, 1, 1], [0, 1, 0]]
    (first, _) = select_kernels(LAYERS, LOGNORMAL, SelectionOptions(threshold=0.25))
    assert (first.threshold, first.distance, first.null_band, first.q_values) == (0.25, 0.25, None, None)


def test_a_fraction_is_of_the_kernels_of_all_layers() -> None:
    assert specific(SelectionOptions(fraction=2 / 7)) == [[0, 0, 0, 1], [0, 1, 0]]
    assert specific(SelectionOptions(fraction=0)) == [[0, 0, 0, 0], [0, 0, 0]]
    assert specific(SelectionOptions(fraction=1)) == [[1, 1, 1, 1], [1, 1, 1]]
    assert [layer.threshold for layer in select_kernels(LAYERS, LOGNORMAL, SelectionOptions(fraction=2 / 7))] == [
        0.3,
        0.3,
    ]


def test_the_percentile_of_a_layers_null_is_its_own_threshold() -> None:
    layers = tuple(with_null(layer, seed) for seed, layer in enumerate(LAYERS))
    found = select_kernels(layers, LOGNORMAL, SelectionOptions(percentile=80))
    for layer, selection in zip(layers, found, strict=True):
        assert layer.null is not None
        null = torch.sort(layer.null.flatten()).values
        assert selection.threshold == pytest.approx(null.quantile(0.8).item())
        assert torch.equal(selection.specific, layer.distances > selection.threshold)
        assert selection.null_band == pytest.approx([null.quantile(q).item() for q in (0.05, 0.5, 0.95)])


def test_q_values_are_scipys_over_all_layers_together() -> None:
    own = values([0.001, 0.02, 0.03, 0.9, 0.04, 0.5, 0.011])
    layers = tuple(
        LayerDistances(layer.layer_name, layer.num_channels, layer.distances, p_values=p)
        for layer, p in zip(LAYERS, own.split([4, 3]), strict=True)
    )
    found = select_kernels(layers, find_statistic("welch-t"), SelectionOptions(alpha=0.05))
    q_values = torch.cat([layer.q_values for layer in found if layer.q_values is not None])
    assert q_values.tolist() == pytest.approx(false_discovery_control(own.numpy()).tolist())
    # By hand: the ordered p-values against 0.05 * k / 7; the third, 0.02 <= 0.0214, is the last below.
    assert [layer.specific.int().tolist() for layer in found] == [[1, 1, 0, 0], [0, 0, 1]]


def test_p_values_are_shares_of_the_permutations_of_all_kernels() -> None:
    layers = tuple(with_permutations(layer, seed) for seed, layer in enumerate(LAYERS))
    found = select_kernels(layers, LOGNORMAL, SelectionOptions(alpha=0.05))
    dealt = [layer.permuted / layer.permuted.mean(0) for layer in layers if layer.permuted is not None]
    pooled = torch.cat([values.flatten() for values in dealt])
    assert layers[0].permuted is not None
    ratio = layers[0].distances[2] / layers[0].permuted.mean(0)[2]
    assert found[0].p_values is not None
    assert found[0].p_values[2] == pytest.approx((1 + int((pooled >= ratio).sum())) / 701)
    assert [layer.specific.int().tolist() for layer in found] == [[0, 0, 0, 1], [0, 1, 0]]


def test_a_kernel_that_never_varies_never_differs() -> None:
    dealt = torch.cat([torch.zeros(100, 1), torch.rand(100, 1, generator=torch.Generator().manual_seed(0))], 1)
    layer = LayerDistances("a", 2, values([0.0, 9.0]), sampled=values([0.0, 9.0]), permuted=dealt.double())
    (found,) = select_kernels([layer], LOGNORMAL, SelectionOptions(alpha=0.05))
    assert found.specific.tolist() == [False, True]
    assert found.p_values is not None
    assert found.p_values[0] == 1


def test_layers_are_judged_by_the_median_of_their_kernels() -> None:
    layers = tuple(with_null(layer, seed) for seed, layer in enumerate(LAYERS))
    assert specific(SelectionOptions(select="layers", threshold=0.24), layers) == [[1] * 4, [1] * 3]
    assert specific(SelectionOptions(select="layers", threshold=0.25), layers) == [[0] * 4, [0] * 3]
    (first, _) = select_kernels(layers, LOGNORMAL, SelectionOptions(select="layers"))
    assert layers[0].null is not None
    assert first.threshold == pytest.approx(layers[0].null.quantile(0.5, dim=1).quantile(0.95).item())


def test_seed_kl_keeps_its_window() -> None:
    layer = LayerDistances("a", 6, values([0.05, 0.1, 0.11, 0.99, 1.0, -0.5]))
    assert specific(SelectionOptions(), (layer,), "seed-kl") == [[1, 1, 0, 0, 1, 1]]
    assert specific(SelectionOptions(threshold=0.5), (layer,), "seed-kl") == [[1, 1, 1, 0, 1, 1]]
    assert specific(SelectionOptions(fraction=1 / 3), (layer,), "seed-kl") == [[1, 0, 0, 0, 0, 1]]


@pytest.mark.parametrize("options", [SelectionOptions(), SelectionOptions(alpha=0.1)])
def test_without_a_null_a_threshold_or_a_fraction_must_decide(options: SelectionOptions) -> None:
    layer = LayerDistances("a", 2, torch.tensor(0.5, dtype=torch.float64))
    with pytest.raises(TlvError, match="channel-gram has no null") as caught:
        select_kernels([layer], find_statistic("channel-gram"), options)
    assert caught.value.error_id == "null-missing"
    assert specific(SelectionOptions(threshold=0.4), (layer,), "channel-gram") == [[1, 1]]


def test_one_rule_at_a_time() -> None:
    with pytest.raises(TlvError, match="exclude each other"):
        parse_config(SelectionOptions, {"threshold": 0.1, "alpha": 0.05})

"""Groups of parameters against tables written by hand."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from tests.methods.finetuning.conftest import See
from tlvcli.core.errors import TlvError
from tlvcli.methods.finetuning.network import Network
from tlvcli.methods.finetuning.plan import FinetunePlan, Phase
from tlvcli.methods.finetuning.table import STRATEGIES, find_strategy


def _plan(name: str, network: Network, rates: tuple[float, ...] = (), **options: Any) -> FinetunePlan:
    strategy = find_strategy(name)
    more = {"rates": rates} if rates else {}
    return strategy.load_function()(network, options=strategy.load_options()(**options), **more)


def _rates(phase: Phase) -> dict[str, float]:
    return {parameter: group.rate for group in phase.groups for parameter in group.parameters}


def _layer_rates(phase: Phase) -> dict[str, float]:
    return {name.removesuffix(".weight"): rate for name, rate in _rates(phase).items() if name.endswith(".weight")}


@pytest.mark.parametrize("strategy", [strategy.name for strategy in STRATEGIES])
@pytest.mark.parametrize("name", ["resnet18", "squeezenet1_1", "swin_t"])
def test_every_parameter_is_in_at_most_one_group(see: See, strategy: str, name: str) -> None:
    network = see(name)
    plan = _plan(strategy, network)
    assert plan.strategy == strategy
    for phase in plan.phases:
        named = [parameter for group in phase.groups for parameter in group.parameters]
        assert len(named) == len(set(named))
        assert set(named) <= set(network.dimensions)
        assert all(group.rate > 0 for group in phase.groups)
    expected = network.head if strategy == "linear-probe" else set(network.dimensions)
    assert plan.trained == expected


@pytest.mark.parametrize("strategy", [strategy.name for strategy in STRATEGIES])
def test_biases_and_normalisation_do_not_decay(see: See, strategy: str) -> None:
    network = see("swin_t")
    plan = _plan(strategy, network)
    for group in (group for phase in plan.phases for group in phase.groups):
        for name in group.parameters:
            bias = "bias" in name.rpartition(".")[2]
            assert group.decays == (network.dimensions[name] > 1 and not bias), name


def test_full_trains_a_fresh_head_faster(see: See) -> None:
    fresh = {"classifier.1.weight", "classifier.1.bias"}
    (phase,) = _plan("full", see("squeezenet1_1", fresh=fresh)).phases
    assert {name for name, rate in _rates(phase).items() if rate == 10} == fresh
    assert set(_rates(phase).values()) == {1.0, 10}


def test_two_rates(see: See) -> None:
    (phase,) = _plan("two-rate", see("resnet18"), backbone_lr_scale=0.2).phases
    assert {name for name, rate in _rates(phase).items() if rate == 1.0} == {"fc.weight", "fc.bias"}
    assert set(_rates(phase).values()) == {0.2, 1.0}
    assert _plan("two-rate", see("resnet18"), backbone_lr_scale=0).trained == {"fc.weight", "fc.bias"}


def test_new_layers_start_afresh_and_train_at_the_rate_of_a_head(see: See) -> None:
    last = {"fc.weight", "fc.bias"}
    plan = _plan("two-rate", see("resnet18"), backbone_lr_scale=0, new_layers=2)
    assert plan.trained == {name for name in see("resnet18").dimensions if name.startswith(("fc.", "layer4.1."))}
    assert plan.trained | {name for name in plan.reinitialised if "running" in name or "num_b" in name} == set(
        plan.reinitialised
    )
    assert "layer4.0" in plan.phases[0].frozen
    (phase,) = _plan("full", see("resnet18"), head_rate=5, new_layers=2).phases
    assert {name for name, rate in _rates(phase).items() if rate == 5} == last
    assert _plan("full", see("resnet18"), new_layers=1).reinitialised == ("fc.weight", "fc.bias")


def test_a_linear_probe_freezes_everything_else(see: See) -> None:
    (phase,) = _plan("linear-probe", see("vgg16")).phases
    assert set(_rates(phase)) == {"classifier.6.weight", "classifier.6.bias"}
    assert phase.frozen == ("features", "avgpool", *(f"classifier.{k}" for k in range(6)))


def test_lp_ft_has_two_phases(see: See) -> None:
    probe, tune = _plan("lp-ft", see("resnet18"), probe_epochs=4, tune_lr_scale=0.05).phases
    assert (probe.epochs, tune.epochs) == (4, None)
    assert _rates(probe) == {"fc.weight": 1.0, "fc.bias": 1.0}
    assert set(_rates(tune).values()) == {0.05}
    assert tune.frozen == ()
    assert "layer4" in probe.frozen


def test_layer_decay_by_hand(see: See) -> None:
    (phase,) = _plan("layer-decay", see("resnet18"), layer_decay=0.5).phases
    rates = _layer_rates(phase)
    assert rates["fc"] == 1
    assert rates["layer4.1.conv2"] == rates["layer4.1.bn1"] == 0.5
    assert rates["layer4.0.downsample.0"] == 0.25
    assert rates["layer1.0.conv1"] == 0.5**8
    assert rates["conv1"] == rates["bn1"] == 0.5**9


@pytest.mark.parametrize(
    ("name", "new_layers", "num_low", "new", "low", "high"),
    [
        ("resnet18", 3, 2, {"fc", "layer4.1", "layer4.0"}, {"conv1", "bn1", "layer1.0"}, {"layer1.1", "layer4.1"}),
        ("vgg16", 2, 13, {"classifier.6", "classifier.3"}, {"features.0", "features.28"}, {"classifier.0"}),
        (
            "timm:inception_v4",
            4,
            8,
            {"last_linear", "features.21", "features.20", "features.19"},
            {"features.0", "features.7"},
            {"features.8", "features.21"},
        ),
    ],
)
def test_parts_of_non_binary_by_hand(
    see: See, name: str, new_layers: int, num_low: int, new: set[str], low: set[str], high: set[str]
) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    network = see(name)
    plan = _plan("non-binary", network, (1.0, 0.5, 0.25), new_layers=new_layers, num_lowlrs=num_low)
    blocks = {unit.name for unit in network.units if set(unit.tensors) <= set(plan.reinitialised)}
    assert blocks == new
    assert len(plan.reinitialised) == sum(len(unit.tensors) for unit in network.units if unit.name in new)
    rates = _rates(plan.phases[0])

    def of(layer: str) -> set[float]:
        return {rate for parameter, rate in rates.items() if parameter.startswith(f"{layer}.")}

    assert all(of(layer) == {0.25} for layer in low)
    assert all(of(layer) == {0.5} for layer in high)
    assert of(network.units[-1].name) == {1.0}


def test_a_part_at_rate_0_is_frozen(see: See) -> None:
    plan = _plan("non-binary", see("resnet18"), (1.0, 1.0, 0.0), num_lowlrs=2)
    assert plan.phases[0].frozen == ("conv1", "bn1", "layer1.0")
    assert "conv1.weight" not in plan.trained
    assert "layer1.1.conv1.weight" in plan.trained


@pytest.mark.parametrize(
    ("options", "words"), [({"new_layers": 11}, "10 layers"), ({"num_lowlrs": 10}, "9 layers before its classifier")]
)
def test_more_layers_than_there_are(see: See, options: dict[str, int], words: str) -> None:
    with pytest.raises(TlvError, match=words) as caught:
        _plan("non-binary", see("resnet18"), **options)
    assert caught.value.error_id == "layers-too-many"
    _plan("non-binary", see("resnet18"), new_layers=10, num_lowlrs=9)


def test_the_table_needs_no_torch() -> None:
    import subprocess

    program = (
        "import sys; from tlvcli.methods.finetuning.table import STRATEGIES\n"
        "for strategy in STRATEGIES: strategy.load_options()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_misspelt_strategy() -> None:
    with pytest.raises(TlvError) as caught:
        find_strategy("linear-prob")
    assert (caught.value.error_id, caught.value.hint) == ("strategy-unknown", "did you mean linear-probe?")

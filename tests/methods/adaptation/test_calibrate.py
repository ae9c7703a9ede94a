"""Calibration: outputs at unit variance and the statistics of all images, against plain formulas."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn

from tests.methods.adaptation.nets import images, in_batches, norm_net, plain_net, plan_of
from tlvcli.core.errors import TlvError
from tlvcli.methods.adaptation.calibrate import calibrate
from tlvcli.methods.adaptation.options import CalibrateOptions
from tlvcli.methods.adaptation.outcome import Adaptation
from tlvcli.methods.adaptation.scalable import reasons_to_leave

BOTH = CalibrateOptions()
STATISTICS = CalibrateOptions(unit_variance=False)
BATCH_SIZES = [40, 10, 7]


def _after(module: nn.Module, done: Adaptation) -> nn.Module:
    changed = deepcopy(module)
    changed.load_state_dict(dict(done.state), strict=False)
    return changed


def _values(module: nn.Module, name: str, *, inputs: bool = False) -> Tensor:
    """Return what a layer puts out, or reads, on all images at once."""
    kept: list[Tensor] = []
    hook = module.get_submodule(name).register_forward_hook(
        lambda _layer, args, output: kept.append((args[0] if inputs else output).clone())
    )
    module(images())
    hook.remove()
    return kept[0]


@pytest.mark.parametrize("batch_size", BATCH_SIZES)
def test_outputs_have_unit_variance_over_all_images(batch_size: int) -> None:
    module = plain_net()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    done = calibrate(module, in_batches(images(), batch_size), left={"8": "the head"}, options=BOTH)
    changed = _after(module, done)
    assert set(done.state) == {"0.weight", "2.weight", "6.weight"}
    for layer in done.layers[:3]:
        std = float(_values(changed, layer.layer).std(correction=0))
        assert std == pytest.approx(1.0, abs=0.05)
        assert layer.after == pytest.approx(std, rel=1e-4)
        assert layer.before == pytest.approx(float(_values(module, layer.layer).std(correction=0)), rel=1e-4)
    assert done.layers[3].note == "the head"
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def test_one_batch_gives_exactly_one_whatever_the_bias() -> None:
    module = plain_net()
    with torch.no_grad():
        module.get_parameter("2.bias").copy_(torch.linspace(-1, 1, 8))
    done = calibrate(module, in_batches(images(), 40), left={}, options=BOTH)
    changed = _after(module, done)
    for name in ("0", "2", "6", "8"):
        assert float(_values(changed, name).std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_a_bias_that_varies_more_leaves_the_weights_their_part() -> None:
    module = plain_net()
    with torch.no_grad():
        module.get_parameter("2.bias").copy_(torch.linspace(-9, 9, 8))
    changed = _after(module, calibrate(module, in_batches(images(), 40), left={}, options=BOTH))
    own = _values(changed, "2") - changed.get_parameter("2.bias")[:, None, None]
    assert float(own.std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_running_statistics_are_those_of_all_images() -> None:
    module = norm_net()
    done = calibrate(module, in_batches(images(), 40), left={}, options=STATISTICS)
    changed = _after(module, done)
    for name in ("1", "4"):
        inputs = _values(changed, name, inputs=True).double().transpose(0, 1).flatten(1)
        norm = changed.get_submodule(name)
        assert torch.allclose(norm.running_mean.double(), inputs.mean(1), atol=1e-5)
        assert torch.allclose(norm.running_var.double(), inputs.var(1, correction=0), rtol=1e-5, atol=1e-5)
    assert set(done.state) == {f"{name}.{what}" for name in ("1", "4") for what in ("running_mean", "running_var")}
    assert done.warnings == ()


@pytest.mark.parametrize("batch_size", [10, 7])
def test_several_batches_are_summed_and_not_averaged_on_the_way(batch_size: int) -> None:
    module = norm_net()
    changed = _after(module, calibrate(module, in_batches(images(), batch_size), left={}, options=STATISTICS))
    module.train()
    first = torch.cat([module[0](batch) for batch in images().split(batch_size)])
    second = torch.cat([module[:4](batch) for batch in images().split(batch_size)])
    for name, inputs in (("1", first), ("4", second)):
        values = inputs.double().transpose(0, 1).flatten(1)
        norm = changed.get_submodule(name)
        assert torch.allclose(norm.running_mean.double(), values.mean(1), atol=1e-5)
        assert torch.allclose(norm.running_var.double(), values.var(1, correction=0), rtol=1e-5, atol=1e-5)


def test_statistics_belong_to_the_scaled_weights() -> None:
    module = norm_net()
    done = calibrate(module, in_batches(images(), 40), left={"9": "the head"}, options=BOTH)
    changed = _after(module, done)
    inputs = _values(changed, "4", inputs=True).double().transpose(0, 1).flatten(1)
    assert torch.allclose(changed.get_submodule("4").running_var.double(), inputs.var(1, correction=0), rtol=1e-4)
    assert float(_values(changed, "6").std(correction=0)) == pytest.approx(1.0, abs=0.05)


def test_again_nothing_moves() -> None:
    module = norm_net()
    batches = in_batches(images(), 40)
    once = _after(module, calibrate(module, batches, left={}, options=BOTH))
    again = _after(once, calibrate(once, batches, left={}, options=BOTH))
    for name, tensor in once.state_dict().items():
        assert torch.allclose(tensor, again.state_dict()[name], atol=1e-4), name


def test_only_what_is_neither_normalised_nor_known_may_be_scaled() -> None:
    module = norm_net()
    reasons = reasons_to_leave(module, images(2), plan_of(module), head={"9.weight"}, fitted=set(), is_trained=False)
    assert reasons == {"0": "a normalisation follows", "3": "a normalisation follows", "9": "the head"}
    plain = plain_net()
    plan = plan_of(plain, {"0.weight": "copy", "2.weight": "keep", "6.weight": "constant"})
    told = [
        reasons_to_leave(plain, images(2), plan, head=(), fitted={"8"}, is_trained=is_trained)
        for is_trained in (False, True)
    ]
    assert told[0] == {"0": "copied whole", "6": "set to a constant", "8": "fitted"}
    assert told[1] == {**told[0], "2": "as the target checkpoint has it"}


def test_a_normalisation_behind_an_activation_in_place_does_not_follow_directly() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.BatchNorm2d(4)).eval().requires_grad_(False)
    assert reasons_to_leave(module, images(2), plan_of(module), head=(), fitted=(), is_trained=False) == {}


def test_a_shared_weight_is_scaled_once() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 3, bias=False), nn.Conv2d(3, 3, 3, bias=False)).eval()
    module[1].weight = module[0].weight
    done = calibrate(module, in_batches(images(), 40), left={}, options=BOTH)
    assert torch.equal(done.state["0.weight"], done.state["1.weight"])
    assert float(_values(_after(module, done), "0").std(correction=0)) == pytest.approx(1.0, abs=1e-4)


def test_what_never_varies_is_left_and_said() -> None:
    module = norm_net()
    with torch.no_grad():
        module.get_parameter("0.weight")[2] = 0.0
        module.get_parameter("6.weight").zero_()
    done = calibrate(module, in_batches(images(), 20), left={}, options=BOTH)
    rows = {layer.layer: layer for layer in done.layers}
    assert rows["6"].note == "its output is the same everywhere"
    assert rows["1"].note.endswith("left 1 of 8 channels, which are constant")
    assert done.warnings == ("calibrate: constant over the images, so their batch statistics stay: 1 channel",)
    assert (done.state["1.running_mean"][2], done.state["1.running_var"][2]) == (0.0, 1.0)


def test_a_network_without_batch_normalisation_is_told_so() -> None:
    done = calibrate(plain_net(), in_batches(images(), 40), left={}, options=BOTH)
    assert done.warnings == ("calibrate: the target has no batch normalisation, so no statistics to re-estimate",)


@pytest.mark.parametrize(("layer", "net"), [("2", plain_net), ("1", norm_net)])
def test_nan_names_the_first_layer_that_has_it(layer: str, net: type[nn.Module]) -> None:
    module = net()
    with torch.no_grad():
        module[0 if layer == "1" else 2].weight[0, 0, 0, 0] = float("nan")
    with pytest.raises(TlvError, match=f"^{layer}: an activation is NaN") as caught:
        calibrate(module, in_batches(images(), 40), left=dict.fromkeys("0369", "left"), options=BOTH)
    assert caught.value.error_id == "activations-not-finite"

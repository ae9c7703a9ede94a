"""Across families: collapsed blocks against what the blocks compute, and the recipe against a second formula."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tests.methods.coherent.nets import Depthwise, Gated, Padded, Vgg, trained, with_grey_images
from tests.methods.conftest import Planner
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.check_plan import refuse_misfit
from tlvcli.methods.coherent.across import plan_across
from tlvcli.methods.coherent.options import CoherentOptions
from tlvcli.methods.execute import execute
from tlvcli.models.channels.groups import channel_groups
from tlvcli.models.graph import graph_of_module


class Fire(nn.Module):
    def __init__(self, width_in: int, inner: int, width: int) -> None:
        super().__init__()
        self.squeeze, self.left = nn.Conv2d(width_in, inner, 1), nn.Conv2d(inner, width // 2, 1)
        self.right = nn.Conv2d(inner, width // 2, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        out = self.squeeze(images).relu()
        return torch.cat([self.left(out), self.right(out)], 1).relu()


class Fires(nn.Sequential):
    """Two fire modules at each of two sizes behind a stem of 3 by 3."""

    def __init__(self, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__(
            nn.Conv2d(3, 8, 3, 2),
            nn.ReLU(),
            Fire(8, 3, 12),
            Fire(12, 4, 12),
            nn.MaxPool2d(2),
            Fire(12, 4, 20),
            Fire(20, 5, 20),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(20, 5),
        )


class Residual(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(width_in, width, 1, stride, bias=False), nn.BatchNorm2d(width))

    def forward(self, images: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.bn1(self.conv1(images)).relu()))
        return (out + (self.shortcut(images) if hasattr(self, "shortcut") else images)).relu()


class Residuals(nn.Sequential):
    """Two residual blocks at each of two sizes behind a stem of 7 by 7."""

    def __init__(self, widths: tuple[int, int] = (8, 16), classes: int = 5, seed: int = 1) -> None:
        torch.manual_seed(seed)
        first, second = widths
        super().__init__(
            nn.Conv2d(3, first, 7, 2, 3, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            Residual(first, first),
            Residual(first, first),
            Residual(first, second, 2),
            Residual(second, second),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(second, classes),
        )


class Bottleneck(nn.Sequential):
    """Expand, depthwise, project, without a shortcut, behind a stem; nine times as wide inside."""

    def __init__(self, seed: int = 1) -> None:
        torch.manual_seed(seed)
        super().__init__(
            nn.Conv2d(3, 6, 3, 2, 1),
            nn.ReLU(),
            nn.Sequential(nn.Conv2d(6, 54, 1), nn.Conv2d(54, 54, 3, 1, 1, 1, 54), nn.Conv2d(54, 8, 1)),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 5),
        )


class Plain(nn.Sequential):
    """A stem and convolutions of one size, without biases or activations between them."""

    def __init__(self, *kernels: int, seed: int = 0, width: int = 6, together: bool = True) -> None:
        torch.manual_seed(seed)
        block = [nn.Conv2d(width, width, size, padding=size // 2, bias=False) for size in kernels]
        body = [Looped(nn.Sequential(*block))] if together else block
        super().__init__(
            nn.Conv2d(3, width, 3, 2, 1), nn.ReLU(), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 5)
        )


class Looped(nn.Module):
    def __init__(self, branch: nn.Module) -> None:
        super().__init__()
        self.branch = branch

    def forward(self, images: Tensor) -> Tensor:
        return images + self.branch(images)


def _collapsed_fire(state: dict[str, np.ndarray], fire: int) -> np.ndarray:
    """K[o, c] = sum over m of E[o, m] S[m, c], 1x1 kernels in the centre of 3x3."""
    squeeze, left, right = (state[f"{fire}.{part}.weight"] for part in ("squeeze", "left", "right"))
    expand = np.concatenate([np.pad(left, ((0, 0), (0, 0), (1, 1), (1, 1))), right])
    return np.einsum("omyx,mc->ocyx", expand, squeeze[:, :, 0, 0])


def test_the_recipe_of_collapsed_blocks(plan: Planner) -> None:
    source, target = Fires(), Residuals()
    made, tensors = plan("coherent", source, target, noise=0.0)
    state = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    kernels = {fire: _collapsed_fire(state, fire) for fire in (2, 3, 5, 6)}
    maps = {
        fire: np.sort(kernels[fire].reshape(len(kernels[fire]), -1).var(1).argsort()[-num:])
        for fire, num in ((3, 8), (6, 16))
    }
    stages = {
        3: (2, np.arange(8), maps[3]),
        4: (3, maps[3], maps[3]),
        5: (5, maps[3], maps[6]),
        6: (6, maps[6], maps[6]),
    }
    for block, (fire, reads, writes) in stages.items():
        he = sqrt(2 / (len(writes) * 9))
        kernel = kernels[fire][writes][:, reads]
        np.testing.assert_allclose(tensors[f"{block}.conv1.weight"], kernel / kernel.std() * he, rtol=2e-4, atol=1e-6)
        dirac = np.zeros((len(writes), len(writes), 3, 3))
        dirac[range(len(writes)), range(len(writes)), 1, 1] = 1.0
        np.testing.assert_allclose(tensors[f"{block}.conv2.weight"], dirac / dirac.std() * he, rtol=1e-5)
    stem = np.pad(state["0.weight"], ((0, 0), (0, 0), (2, 2), (2, 2)))
    norms = np.sqrt((stem**2).mean((1, 2, 3), keepdims=True))
    np.testing.assert_allclose(tensors["0.weight"], stem / norms * sqrt(2 / (8 * 49)), rtol=1e-5)
    kept = {row.tensor for row in made.rows if row.operation == "keep"}
    assert {"1.weight", "5.shortcut.0.weight", "9.weight"} <= kept


@pytest.mark.parametrize("noise", [0.1, 0.5])
def test_noise_is_a_share_of_the_spread_and_leaves_it_as_it_is(plan: Planner, noise: float) -> None:
    exact = plan("coherent", Fires(), Residuals(), noise=0.0)[1]["6.conv1.weight"]
    noisy = plan("coherent", Fires(), Residuals(), noise=noise)[1]["6.conv1.weight"]
    assert float(noisy.std(correction=0)) == pytest.approx(sqrt(2 / (16 * 9)), rel=1e-5)
    correlation = np.corrcoef(exact.flatten(), noisy.flatten())[0, 1]
    assert correlation == pytest.approx(1 / sqrt(1 + noise**2), abs=0.02)


def test_two_convolutions_become_the_one_they_are(plan: Planner) -> None:
    source, target = Plain(3, 3), Plain(5, seed=1, together=False)
    weight = plan("coherent", source, target, noise=0.0)[1]["2.weight"]
    images = torch.randn(1, 6, 12, 12)
    expected, scaled = source[2](images), F.conv2d(images, weight, padding=2)
    inner = (..., slice(2, -2), slice(2, -2))  # at the border the second convolution sees zeros
    ratio = float(expected[inner].std() / scaled[inner].std())
    torch.testing.assert_close(scaled[inner] * ratio, expected[inner], rtol=1e-4, atol=1e-4)


def _across(source: nn.Module, target: nn.Module) -> dict[str, Tensor]:
    """Collapse blocks even where the two are near enough for a family."""
    tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
    groups = channel_groups(source), channel_groups(target)
    made = plan_across(tensors, groups, state, graph_of_module(target), options=CoherentOptions(noise=0.0), seed=0)
    return dict(execute(made, tensors, state))


def test_a_residual_target_leaves_out_what_its_own_shortcut_does() -> None:
    source, target = Plain(3), Residuals((6, 6))
    tensors = _across(source, target)
    ratio = tensors["3.conv1.weight"] / source[2].branch[0].weight
    torch.testing.assert_close(ratio, torch.full_like(ratio, float(ratio[0, 0, 0, 0])))


def test_depthwise_and_pointwise_convolutions_multiply_to_the_kernel(plan: Planner) -> None:
    source, target = Plain(3, together=False), Bottleneck()
    tensors = plan("coherent", source, target, noise=0.0)[1]
    first, depthwise, last = (tensors[f"2.{part}.weight"] for part in range(3))
    product = torch.einsum("om,myx,mc->ocyx", last[:, :, 0, 0], depthwise[:, 0], first[:, :, 0, 0])
    weight = source[2].weight[torch.arange(8) * 6 // 8]
    ratio = float(product.std() / weight.std())
    torch.testing.assert_close(product, weight * ratio, rtol=1e-3, atol=1e-3 * float(product.std()))


def test_batch_normalisation_is_folded_in(plan: Planner) -> None:
    source, target = trained(Residuals((6, 6))), Plain(5, 5, 5, 5, seed=3, together=False)
    tensors = plan("coherent", source, target, noise=0.0)[1]
    block, images = source[3], torch.randn(1, 6, 14, 14)

    def linear(x: Tensor) -> Tensor:
        for conv, norm in ((block.conv1, block.bn1), (block.conv2, block.bn2)):
            x = conv(x) * (norm.weight / (norm.running_var + norm.eps).sqrt())[None, :, None, None]
        return x

    inner = (..., slice(2, -2), slice(2, -2))
    expected = (images + linear(images))[inner]
    result = F.conv2d(images, tensors["2.weight"], padding=2)[inner]
    ratio = float(expected.std() / result.std())
    torch.testing.assert_close(result * ratio, expected, rtol=1e-3, atol=1e-3)


def test_a_stem_for_grey_images_adds_the_colours_up(plan: Planner) -> None:
    source, target = Fires(), with_grey_images(Residuals(), "0")
    made, tensors = plan("coherent", source, target, noise=0.0)
    row = next(row for row in made.rows if row.tensor == "0.weight")
    positions = made.arrays["0.weight:outputs"] - made.arrays[f"{row.tensor}:writes0"][0]
    wanted = source.state_dict()["0.weight"].sum(1)[positions]
    found = tensors["0.weight"][:, 0, 2:5, 2:5]
    scale = found.flatten(1).norm(dim=1) / wanted.flatten(1).norm(dim=1)
    torch.testing.assert_close(found, wanted * scale[:, None, None], rtol=1e-4, atol=1e-6)
    assert float(tensors["0.weight"].abs().sum()) == pytest.approx(float(found.abs().sum()))
    refuse_misfit(made, TensorsInMemory(source.state_dict()).specs, tuple(graph_of_module(target).tensors()))


def test_producers_and_consumers_agree(plan: Planner) -> None:
    """Behind a Dirac, channel o of the stream is one position in the source's block, whoever writes or reads it."""
    source, target = Fires(), Residuals((5, 7))
    tensors = plan("coherent", source, target, noise=0.0)[1]
    state = {name: tensor.numpy() for name, tensor in source.state_dict().items()}
    stream = np.sort(_collapsed_fire(state, 3).reshape(12, -1).var(1).argsort()[-5:])
    last = np.sort(_collapsed_fire(state, 6).reshape(20, -1).var(1).argsort()[-7:])
    kernel = _collapsed_fire(state, 5)[last][:, stream]
    found = tensors["5.conv1.weight"].numpy()
    np.testing.assert_allclose(found, kernel * (found.std() / kernel.std()), rtol=1e-3, atol=1e-6)
    moved = tensors["5.conv2.weight"][:, :, 1, 1]
    assert torch.equal(moved > 0, torch.eye(7, dtype=torch.bool))


def test_without_normalisation_signals_neither_die_nor_explode(plan: Planner) -> None:
    source, target = trained(Residuals()), Fires(seed=4)
    images = torch.randn(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    target.load_state_dict(plan("coherent", source, target)[1])
    assert 0.1 < float(nn.Sequential(*list(target)[:7])(images).square().mean()) < 1000  # behind nine convolutions


@pytest.mark.parametrize(
    ("choices", "layers"),
    [
        ({"stem": "own"}, {"3.conv1", "4.conv1", "5.conv1", "6.conv1"}),
        ({"stages": 1}, {"0", "3.conv1", "4.conv1"}),
        ({"stages": 0}, {"0"}),
    ],
)
def test_choices_limit_what_goes_over(plan: Planner, choices: dict[str, str], layers: set[str]) -> None:
    made, tensors = plan("coherent", Fires(), target := Residuals(), rates="one", stem_rate=0.1, **choices)
    assert {row.tensor.removesuffix(".weight") for row in made.rows if row.source} == layers
    assert made.recommended_rates == ({} if "stem" in choices else {"0": 0.1})
    assert torch.equal(tensors["9.weight"], target.state_dict()["9.weight"])


def test_kernels_in_front_of_a_normalisation_learn_at_one_pace(plan: Planner) -> None:
    made, tensors = plan("coherent", Fires(), Residuals(), stem_rate=0.5)
    rates = dict(made.recommended_rates)
    assert rates.pop("0") == 0.5
    kernels = {name.removesuffix(".weight"): kernel for name, kernel in tensors.items() if kernel.dim() == 4}
    steps = {layer: rates.pop(layer, 1.0) / float(kernel.std()) for layer, kernel in kernels.items() if layer != "0"}
    assert not rates  # neither normalisations nor the classifier have one
    assert max(steps.values()) / min(steps.values()) < 1.05
    assert made.recommended_rates["5.shortcut.0"] == pytest.approx(3.0, abs=0.3)


def test_depthwise_kernels_and_what_no_normalisation_follows_learn_as_ever(plan: Planner) -> None:
    made, _ = plan("coherent", Fires(), Depthwise(8))
    assert made.recommended_rates == {"0": 0.3, "6": 2.1}  # the depthwise layer 3 has a spread of its own
    assert set(plan("coherent", Residuals(), Fires())[0].recommended_rates) == {"0"}


def test_surplus_convolutions_may_start_as_they_are(plan: Planner) -> None:
    made, tensors = plan("coherent", Fires(), target := Residuals(), surplus="own")
    assert all(row.operation != "dirac" for row in made.rows)
    assert torch.equal(tensors["3.conv2.weight"], target.state_dict()["3.conv2.weight"])


@pytest.mark.parametrize("source", [Fires, Residuals, lambda: Vgg(5), lambda: Depthwise(4), lambda: Gated(4)])
@pytest.mark.parametrize("target", [Fires, Residuals, lambda: Vgg(7), lambda: Padded(6), Bottleneck, lambda: Gated(6)])
def test_any_two_families(plan: Planner, source: type[nn.Module], target: type[nn.Module]) -> None:
    have, net = trained(source()), target()
    made, tensors = plan("coherent", have, net)
    graph = graph_of_module(net)
    assert made.coverage(graph) > 0
    for row in made.rows:
        assert torch.isfinite(tensors[row.tensor].float()).all()
        assert (row.source is not None) == (row.transferred > 0)
    net.load_state_dict(tensors)
    assert torch.isfinite(net.eval()(torch.randn(2, 3, 32, 32))).all()

"""Net2Net: the larger network computes what the smaller one computed, or is refused."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tests.methods.conftest import Planner, odd_net, plain_net
from tlvcli.core.errors import TlvError
from tlvcli.core.plan import TransferPlan
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.family_options import Net2NetOptions
from tlvcli.methods.matching.stage import match_by_stage
from tlvcli.methods.net2net import plan_net2net
from tlvcli.models.builders import build, build_skeleton
from tlvcli.models.graph import graph_of_module, graph_of_tensors


def _trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give biases, normalisations and their statistics values that training might give them."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_var", ".weight")) and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif (tensor.is_floating_point() and tensor.dim() == 1) or "layer_scale" in name or "bias_table" in name:
            tensor.normal_(0.0, 0.2, generator=generator)
    return net.eval()


def _difference(plan: Planner, source: nn.Module, target: nn.Module, size: int, **choices: str) -> float:
    """Return the largest difference of the outputs, as a share of the largest output."""
    _trained(source), _trained(target, seed=1)
    tensors = plan("net2net", source, target, **choices)[1]
    for name, own in target.state_dict().items():
        own.copy_(tensors[name])
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    before, after = source(images), target(images)
    return float((before - after).abs().max() / before.abs().max())


def _made(name: str, seed: int) -> nn.Module:
    return build(Architecture(name=name, num_classes=10), seed=seed)


def _plan(source: str, target: str, classes: int = 10) -> TransferPlan:
    modules = [
        build_skeleton(Architecture(name=source, num_classes=10)),
        build_skeleton(Architecture(name=target, num_classes=classes)),
    ]
    states, graphs = [module.state_dict() for module in modules], [graph_of_module(module) for module in modules]
    return plan_net2net(TensorsInMemory(states[0]), graphs[0], states[1], graphs[1], options=Net2NetOptions(), seed=0)


@pytest.mark.parametrize("widths", [(8, 12), (16, 24), (9, 31)])
def test_wider_plain_networks(plan: Planner, widths: tuple[int, int]) -> None:
    assert _difference(plan, plain_net((8, 12)), plain_net(widths, seed=3), 16) < 1e-5


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("resnet18", "resnet18"),
        ("resnet50", "wide_resnet50_2"),
        ("resnet18", "resnet34"),
        ("resnext50_32x4d", "resnext101_32x8d"),
        ("mnasnet0_5", "mnasnet1_0"),
        ("efficientnet_b0", "efficientnet_b2"),
        ("densenet121", "densenet161"),
        ("convnext_tiny", "convnext_small"),
        ("swin_t", "swin_s"),
    ],
)
def test_families_of_torchvision(plan: Planner, source: str, target: str) -> None:
    assert _difference(plan, _made(source, 0), _made(target, 1), 64) < 1e-5


@pytest.mark.parametrize(
    ("source", "target"), [("vgg11_bn", "vgg13_bn"), ("vgg11_bn", "vgg16_bn"), ("vgg11", "vgg11_bn")]
)
def test_new_layers_in_a_chain_pass_on_what_they_read(plan: Planner, source: str, target: str) -> None:
    assert _difference(plan, _Shallow(source, 0), _Shallow(target, 1), 32) < 1e-5


class _Shallow(nn.Module):
    """The features of a VGG and one linear layer: its own classifier is a hundred million parameters."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__()
        self.features = _made(name, seed).features
        self.classifier = nn.Linear(512, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.classifier(self.features(images).mean((2, 3)))


def test_doubled_channels_are_shared_by_those_who_read_them(plan: Planner) -> None:
    source, target = plain_net((8, 12)), plain_net((11, 12), seed=3)
    made, tensors = plan("net2net", source, target)
    index, scale = made.arrays["3.weight:index1"], made.arrays["3.weight:scale1"]
    assert index[:8].tolist() == list(range(8))
    assert torch.equal(index, made.arrays["0.weight:index0"])
    assert torch.equal(scale, 1 / torch.bincount(index)[index])
    assert torch.equal(tensors["1.running_mean"], source.state_dict()["1.running_mean"][index])
    total = torch.zeros(12, 8, 3, 3).index_add_(1, index, tensors["3.weight"])
    torch.testing.assert_close(total, source.state_dict()["3.weight"])
    assert made.coverage(graph_of_module(target)) == 1.0


def test_grouped_depthwise_and_asymmetric_convolutions_stay_as_they_are(plan: Planner) -> None:
    source, target = odd_net(), odd_net(seed=5)
    made, tensors = plan("net2net", source, target)
    assert {row.operation for row in made.rows} == {"copy"}
    assert all(torch.equal(tensors[name], own) for name, own in source.state_dict().items())


def test_noise_reaches_the_copies_only(plan: Planner) -> None:
    source, target = plain_net((8, 12)), plain_net((16, 12), seed=3)
    exact = plan("net2net", source, target)[1]["0.weight"]
    noisy = plan("net2net", source, target, noise=0.01)[1]["0.weight"]
    assert torch.equal(noisy[:8], exact[:8])
    assert float((noisy - exact)[8:].std()) == pytest.approx(0.01 * float(exact.std()), rel=0.3)
    assert 1e-5 < _difference(plan, source, target, 16, noise=0.01) < 0.1


def test_another_number_of_classes_keeps_the_targets_head() -> None:
    made = {row.tensor: row for row in _plan("resnet18", "resnet34", classes=7).rows}
    assert made["fc.weight"].operation == made["fc.bias"].operation == "keep"
    assert made["layer4.1.conv2.weight"].operation == "copy"
    assert made["layer4.2.bn2.weight"].parameters == {"value": 0.0}
    assert "adds nothing yet" in made["layer4.2.bn2.weight"].reason
    assert made["layer4.2.conv1.weight"].operation == "keep"


def test_stages_pair_first_with_first() -> None:
    graphs = [graph_of_module(build_skeleton(Architecture(name=name, num_classes=10))) for name in ("vgg11", "vgg16")]
    source, target = (graph.channels().sites for graph in graphs if graph.channels is not None)
    pairs = match_by_stage(source, target)
    assert pairs["features.5"] == "features.3"
    assert [name for name in target if name not in pairs] == [f"features.{i}" for i in (2, 7, 14, 21, 28)]


class _Chain(nn.Module):
    """As many convolutions as asked for, an activation behind each."""

    def __init__(self, depth: int, activation: type[nn.Module], norm: bool = False, width: int = 6) -> None:
        super().__init__()
        torch.manual_seed(depth)
        self.stem = nn.Sequential(nn.Conv2d(3, width, 3), activation())
        layers: list[nn.Module] = []
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), *([nn.GroupNorm(2, width)] if norm else []), activation()]
        self.body = nn.Sequential(*layers)
        self.head = nn.Conv2d(width, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(self.stem(images))).mean((2, 3))


class _Upsampling(nn.Sequential):
    def __init__(self, width: int) -> None:
        super().__init__(nn.Conv2d(3, width, 3), nn.ConvTranspose2d(width, width, 2), nn.Conv2d(width, 2, 3))


def test_a_chain_of_rectified_convolutions_grows(plan: Planner) -> None:
    assert _difference(plan, _Chain(1, nn.ReLU), _Chain(3, nn.ReLU, width=9), 12) < 1e-5


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        (_Chain(1, nn.SiLU), _Chain(2, nn.SiLU), "head.weight reads body.2, a new layer"),
        (_Chain(1, nn.ReLU, norm=True), _Chain(2, nn.ReLU, norm=True), "new layer body.[34]"),
        (_Chain(1, nn.ReLU, norm=True), _Chain(1, nn.ReLU, norm=True, width=8), "group normalisation"),
        (nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 5), "another kernel size"),
        (_Upsampling(4), _Upsampling(6), "transposed convolution, wider"),
        (plain_net((8, 12)), plain_net((8, 10)), "smaller than the source's 3.weight"),
        (_Chain(2, nn.ReLU), _Chain(1, nn.ReLU), "no place for the source's head.weight"),
    ],
)
def test_what_cannot_be_kept_is_refused(plan: Planner, source: nn.Module, target: nn.Module, words: str) -> None:
    with pytest.raises(TlvError, match=words) as caught:
        plan("net2net", source, target)
    assert caught.value.error_id == "method-not-applicable"


@pytest.mark.parametrize(
    ("source", "target", "words"),
    [
        ("vit_b_16", "vit_l_16", "layer normalisation"),
        ("resnet18", "resnet50", "layer1.0.conv1.weight"),
        ("shufflenet_v2_x0_5", "shufflenet_v2_x1_0", "does not read all"),
        ("mobilenet_v3_small", "mobilenet_v3_large", "no place for the source's features.1"),
    ],
)
def test_other_families_are_refused(source: str, target: str, words: str) -> None:
    with pytest.raises(TlvError, match=words):
        _plan(source, target)


def test_names_alone_do_not_tell_the_way_of_the_channels() -> None:
    net = plain_net()
    tensors = TensorsInMemory(net.state_dict())
    with pytest.raises(TlvError, match="architecture is not known"):
        plan_net2net(
            tensors,
            graph_of_tensors(tensors.specs),
            net.state_dict(),
            graph_of_module(net),
            options=Net2NetOptions(),
            seed=0,
        )

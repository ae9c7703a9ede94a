"""Activations as a network computes them, wherever it writes its activation functions down."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d
from torch import Tensor, nn

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.models.activation_trace import find_taps
from tlvcli.models.activations import Tap, watched
from tlvcli.models.builders import build
from tlvcli.models.graph import graph_of_module

IMAGES = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class _Functional(nn.Module):
    """An activation that no module performs, one layer that runs twice, and one that never runs."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.again = nn.Conv2d(6, 6, 3, padding=1)
        self.never = nn.Conv2d(6, 6, 3)

    def forward(self, images: Tensor) -> Tensor:
        maps = F.relu(self.norm(self.conv(images)), inplace=True)
        maps = torch.tanh(self.again(maps))
        out: Tensor = F.gelu(self.again(maps[:, :, ::2])).mean((2, 3))
        return out


class _Tokens(nn.Module):
    """Linear layers on tokens, on windows of images, and on tokens before images."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.windows, self.first = nn.Linear(3, 5), nn.Linear(5, 7), nn.Linear(7, 2)

    def forward(self, images: Tensor) -> Tensor:
        tokens = torch.relu(self.tokens(images.flatten(2).transpose(1, 2)))  # [n, 64, 5]
        windows = self.windows(tokens.reshape(-1, 16, 5))  # [n * 4, 16, 7]
        out: Tensor = self.first(windows.reshape(-1, 64, 7).transpose(0, 1))  # [64, n, 2]
        return out


def _fresh(module: nn.Module) -> nn.Module:
    torch.manual_seed(1)
    for name, buffer in module.named_buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand(buffer.shape) + ("var" in name))
    return module.eval()


def _taps(
    module: nn.Module, *names: str, at: Literal["pre", "post"] = "post", images: Tensor = IMAGES
) -> tuple[Tap, ...]:
    layers = [layer for layer in graph_of_module(module).layers if layer.name in names]
    size = images.shape[-1]
    return find_taps(module, layers, (3, size, size), at=at)


def _read(module: nn.Module, taps: tuple[Tap, ...], images: Tensor = IMAGES) -> tuple[dict[str, list[Tensor]], Tensor]:
    seen: dict[str, list[Tensor]] = {}
    with torch.no_grad(), watched(module, taps, lambda layer, x: seen.setdefault(layer, []).append(x.clone())):
        return seen, module(images)


def test_before_and_after_the_normalisation_and_an_activation_in_place() -> None:
    module = _fresh(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(inplace=True), nn.Conv2d(5, 2, 3)))
    with torch.no_grad():
        own = module[0](IMAGES)
        after = module[1](own).clamp(min=0)
    for at, stage, wanted in (("pre", "output", own), ("post", "activated", after)):
        taps = _taps(module, "0", "3", at=at)  # type: ignore[arg-type]
        seen, _ = _read(module, taps)
        assert torch.equal(seen["0"][0], wanted)
        assert (taps[0].stage, taps[1].stage) == (stage, "output")
        assert (taps[0].num_channels, taps[0].values_per_image) == (5, 36)


def test_one_relu_for_all_layers_of_a_block_and_the_addition_that_ends_a_trail() -> None:
    module = _fresh(build(Architecture(name="resnet18", num_classes=3), seed=0))
    images = torch.rand(2, 3, 32, 32)
    taps = _taps(module, "layer1.0.conv1", "layer1.0.conv2", images=images)
    seen, _ = _read(module, taps, images)
    block = module.layer1[0]
    with torch.no_grad():
        maps = module.maxpool(module.relu(module.bn1(module.conv1(images))))
        first = block.bn1(block.conv1(maps)).clamp(min=0)
        second = block.bn2(block.conv2(first))
    assert torch.equal(seen["layer1.0.conv1"][0], first)
    assert torch.equal(seen["layer1.0.conv2"][0], second)
    assert [tap.stage for tap in taps] == ["activated", "normalised"]


def test_functions_in_forward_and_a_layer_that_runs_twice() -> None:
    module = _fresh(_Functional())
    taps = _taps(module, "conv", "again", "never")
    seen, output = _read(module, taps)
    with torch.no_grad():
        assert torch.equal(output, module(IMAGES))
        maps = module.norm(module.conv(IMAGES)).clamp(min=0)
        once = torch.tanh(module.again(maps))
        twice = F.gelu(module.again(once[:, :, ::2]))
    assert list(seen) == ["conv", "again"]
    assert torch.equal(seen["conv"][0], maps)
    assert len(seen["again"]) == 2
    assert torch.equal(seen["again"][0], once)
    assert torch.equal(seen["again"][1], twice)
    assert taps[1].values_per_image == 64 + 32


def test_a_layer_and_its_normalisation_are_read_at_one_place_however_the_activation_is_written() -> None:
    conv, norm = _taps(_fresh(_Functional()), "conv", "norm")
    assert conv.readings == norm.readings
    timm = _fresh(nn.Sequential(nn.Conv2d(3, 6, 3), BatchNormAct2d(6), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6)))
    first, norm, second, last = _taps(timm, "0", "1", "2", "3")
    assert first.readings == norm.readings
    assert second.readings == last.readings != first.readings
    seen, _ = _read(timm, (norm,))
    assert torch.equal(seen["1"][0], timm[1](timm[0](IMAGES)))
    conv, norm = _taps(timm, "0", "1", at="pre")
    assert conv.readings != norm.readings


def test_tokens_and_windows_have_their_channels_second() -> None:
    module = _fresh(_Tokens())
    seen, _ = _read(module, _taps(module, "tokens", "windows"))
    with torch.no_grad():
        tokens = module.tokens(IMAGES.flatten(2).transpose(1, 2)).clamp(min=0)
        windows = module.windows(tokens)
    assert torch.equal(seen["tokens"][0], tokens.transpose(1, 2))
    assert seen["windows"][0].shape == (4, 7, 4, 16)
    assert torch.allclose(seen["windows"][0].flatten(2), windows.transpose(1, 2), atol=1e-6)


def test_a_layer_whose_rows_are_no_images_is_refused() -> None:
    with pytest.raises(TlvError) as caught:
        _taps(_fresh(_Tokens()), "first")
    assert caught.value.error_id == "layer-unsupported"


def test_the_network_is_left_as_it_was() -> None:
    module = _fresh(_Functional())
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    taps = _taps(module, "conv", "again")

    def fail(_layer: str, _activations: Tensor) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), torch.no_grad(), watched(module, taps, fail):
        module(IMAGES)
    assert not any(part._forward_hooks or part._forward_pre_hooks for part in module.modules())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled()


@pytest.mark.parametrize(
    ("name", "size", "activated"),
    [("squeezenet1_1", 48, 26), ("googlenet", 64, 57), ("mobilenet_v3_small", 32, 41), ("shufflenet_v2_x0_5", 32, 37)],
)
def test_how_many_convolutions_of_known_networks_have_an_activation(name: str, size: int, activated: int) -> None:
    module = build(Architecture(name=name, num_classes=3), seed=0).eval()
    convolutions = graph_of_module(module).of_kind("conv2d", "depthwise-conv2d")
    taps = find_taps(module, convolutions, (3, size, size), at="post")
    assert sum(tap.stage == "activated" for tap in taps) == activated

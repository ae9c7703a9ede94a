"""Channel groups of real architectures, against what their papers say of their wiring."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tlvcli.core.channels import ChannelGroups
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build_skeleton
from tlvcli.models.channels.groups import channel_groups


def _groups(name: str) -> ChannelGroups:
    return channel_groups(build_skeleton(Architecture(name=name, num_classes=10)))


def _axis(groups: ChannelGroups, name: str, dim: int = 0) -> Tensor:
    axis = groups.axes[name][dim]
    assert axis is not None
    return axis


def test_a_residual_stream_is_one_set_of_channels() -> None:
    groups = _groups("resnet18")
    stream = _axis(groups, "conv1.weight")
    for name, dim in (
        ("bn1.running_var", 0),
        ("layer1.0.conv1.weight", 1),
        ("layer1.0.conv2.weight", 0),
        ("layer1.0.bn2.bias", 0),
        ("layer1.1.conv2.weight", 0),
        ("layer2.0.downsample.0.weight", 1),
    ):
        assert torch.equal(_axis(groups, name, dim), stream)
    assert torch.equal(_axis(groups, "layer2.0.downsample.1.weight"), _axis(groups, "layer2.1.conv2.weight"))
    inner = _axis(groups, "layer1.0.conv1.weight")
    assert not torch.isin(inner, stream).any()
    assert torch.equal(inner, _axis(groups, "layer1.0.conv2.weight", 1))
    assert torch.equal(_axis(groups, "conv1.weight", 1), groups.inputs)
    assert torch.equal(_axis(groups, "fc.weight"), groups.outputs)
    assert groups.axes["conv1.weight"][2:] == (None, None)
    assert len(groups.additions) == 8
    written = [_axis(groups, name) for name in groups.axes if name.endswith("weight")]
    # The four streams, an inner width in each of eight blocks, and the classes.
    assert len(torch.unique(torch.cat(written))) == (64 + 128 + 256 + 512) * 3 + 10


def test_sites_and_additions_tell_what_stands_where() -> None:
    groups = _groups("resnet18")
    norm = groups.sites["layer2.0.bn1"]
    assert (norm.operation, norm.size, norm.reads, norm.before) == ("batch-norm", (28, 28), "layer2.0.conv1", "relu")
    assert norm.epsilon == pytest.approx(1e-5)
    conv = groups.sites["layer2.0.conv1"]
    assert (conv.after, conv.keeps_size, groups.sites["layer2.1.conv1"].keeps_size) == ("relu", False, True)
    first = groups.additions[0]
    assert first.before == "relu"
    assert {term.writers for term in first.terms} == {("layer1.0.bn2.weight", "layer1.0.bn2.bias"), ()}
    assert {term.after for term in first.terms} == {"relu", None}
    assert list(groups.sites)[:3] == ["conv1", "bn1", "layer1.0.conv1"]


def test_flattening_repeats_every_channel() -> None:
    groups = _groups("vgg16")
    read = _axis(groups, "classifier.0.weight", 1).view(512, 49)
    assert torch.equal(read, _axis(groups, "features.28.weight")[:, None].expand(512, 49))
    assert torch.equal(_axis(groups, "classifier.3.weight", 1), _axis(groups, "classifier.0.bias"))


def test_depthwise_convolutions_write_what_they_read() -> None:
    groups = _groups("mobilenet_v2")
    expanded = _axis(groups, "features.2.conv.0.0.weight")
    assert torch.equal(_axis(groups, "features.2.conv.1.0.weight"), expanded)
    assert torch.equal(_axis(groups, "features.2.conv.1.0.weight", 1), expanded[:, None])
    assert torch.equal(_axis(groups, "features.2.conv.2.weight", 1), expanded)
    assert groups.blocks == ()


def test_concatenation_puts_channels_behind_one_another() -> None:
    groups = _groups("densenet121")
    parts = ["features.conv0.weight", *(f"features.denseblock1.denselayer{i}.conv2.weight" for i in range(1, 7))]
    joined = torch.cat([_axis(groups, part) for part in parts])
    assert torch.equal(_axis(groups, "features.transition1.conv.weight", 1), joined)
    assert torch.equal(_axis(groups, "features.transition1.norm.running_mean"), joined)
    assert len(joined) == 256

    groups = _groups("squeezenet1_1")
    joined = torch.cat([_axis(groups, f"features.3.{part}.weight") for part in ("expand1x1", "expand3x3")])
    assert torch.equal(_axis(groups, "features.4.squeeze.weight", 1), joined)

    groups = _groups("inception_v3")
    branches = ("branch1x1", "branch5x5_2", "branch3x3dbl_3", "branch_pool")
    joined = torch.cat([_axis(groups, f"Mixed_5b.{branch}.conv.weight") for branch in branches])
    assert torch.equal(_axis(groups, "Mixed_5c.branch1x1.conv.weight", 1), joined)
    # Its auxiliary head runs in training mode only.
    branches = ("branch1x1", "branch7x7_3", "branch7x7dbl_5", "branch_pool")
    joined = torch.cat([_axis(groups, f"Mixed_6e.{branch}.conv.weight") for branch in branches])
    assert torch.equal(_axis(groups, "AuxLogits.conv0.conv.weight", 1), joined)
    assert len(groups.outputs) == 20


def test_squeeze_and_excitation_scales_the_channels_it_reads() -> None:
    groups = _groups("efficientnet_b0")
    scaled = _axis(groups, "features.2.0.block.1.0.weight")
    assert torch.equal(_axis(groups, "features.2.0.block.2.fc1.weight", 1), scaled)
    assert torch.equal(_axis(groups, "features.2.0.block.2.fc2.weight"), scaled)


def test_shuffling_is_followed() -> None:
    groups = _groups("shufflenet_v2_x1_0")
    branches = [_axis(groups, f"stage2.0.{branch}.weight") for branch in ("branch1.2", "branch2.5")]
    shuffled = torch.stack(branches, 1).flatten()  # one of each in turn
    assert torch.equal(_axis(groups, "stage2.1.branch2.0.weight", 1), shuffled[58:])


def test_groups_of_a_convolution_are_blocks() -> None:
    groups = _groups("resnext50_32x4d")
    read, written = _axis(groups, "layer1.0.conv2.weight", 1), _axis(groups, "layer1.0.conv2.weight")
    assert torch.equal(read.flatten(), _axis(groups, "layer1.0.conv1.weight"))
    assert not torch.isin(read, written).any()
    assert {tuple(block.shape) for block in groups.blocks} == {(32, width) for width in (4, 8, 16, 32)}
    assert any(torch.equal(block, read) for block in groups.blocks)


def test_attention_keeps_heads_together() -> None:
    groups = _groups("vit_b_16")
    prefix = "encoder.layers.encoder_layer_0"
    packed = _axis(groups, f"{prefix}.self_attention.in_proj_weight").view(3, 12, 64)
    assert torch.equal(packed[0], packed[1])  # queries meet keys
    assert torch.equal(packed[2].flatten(), _axis(groups, f"{prefix}.self_attention.out_proj.weight", 1))
    assert sum(torch.equal(block, packed[0]) for block in groups.blocks) == 1
    stream = _axis(groups, "conv_proj.weight")
    for name, dim in (
        ("class_token", 2),
        ("encoder.pos_embedding", 2),
        (f"{prefix}.mlp.3.weight", 0),
        ("encoder.ln.weight", 0),
    ):
        assert torch.equal(_axis(groups, name, dim), stream)
    assert torch.isin(stream, groups.mixed["layer normalisation"]).all()
    assert len(groups.additions) == 24


def test_windows_and_merged_patches_are_followed() -> None:
    groups = _groups("swin_t")
    stream = _axis(groups, "features.0.0.weight")
    assert torch.equal(_axis(groups, "features.2.reduction.weight", 1), stream.repeat(4))
    assert groups.axes["features.1.0.attn.qkv.weight"][1] is not None
    assert torch.equal(_axis(groups, "features.1.0.attn.qkv.weight", 1), stream)
    assert {tuple(block.shape) for block in groups.blocks} == {(heads, 32) for heads in (3, 6, 12, 24)}


class _Unheard(nn.Module):
    """An operation that no rule knows, between two convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(1, 4, 3), nn.Conv2d(4, 5, 3)

    def forward(self, images: Tensor) -> Tensor:
        return self.second(torch.cumsum(self.first(images), dim=1))


def test_what_is_not_understood_mixes_what_it_reads() -> None:
    groups = channel_groups(_Unheard())
    assert torch.equal(groups.mixed["the operation cumsum"], _axis(groups, "first.weight").sort().values)
    assert not torch.isin(_axis(groups, "second.weight", 1), _axis(groups, "first.weight")).any()


def test_the_module_and_the_global_generator_stay_as_they_are() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten(), nn.Linear(4 * 30 * 30, 2))
    net[1].eval()
    before, state = {name: tensor.clone() for name, tensor in net.state_dict().items()}, torch.get_rng_state()
    groups = channel_groups(net)
    assert torch.equal(_axis(groups, "4.weight", 1), _axis(groups, "0.weight").repeat_interleave(900))
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert [layer.training for layer in net] == [True, False, True, True, True]


def test_a_network_without_images_is_refused_with_its_own_words() -> None:
    with pytest.raises(TlvError, match="no way of the channels") as caught:
        channel_groups(nn.Embedding(5, 3))
    assert caught.value.error_id == "channels-unknown"
    with pytest.raises(TlvError, match="RuntimeError on 3x224x224"):
        channel_groups(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Linear(1001, 2)))


class _RepeatedWeight(nn.Module):
    """A linear layer as torch 2.6 computes one whose input does not lie in order: its weight once for every image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.linear = nn.Linear(4, 4)

    def forward(self, image: Tensor) -> Tensor:
        tokens = self.stem(image).flatten(2).transpose(1, 2)
        weight = self.linear.weight.t().expand(len(tokens), 4, 4).view(len(tokens), 4, 4)
        return torch.relu(torch.bmm(tokens, weight) + self.linear.bias)


def test_a_weight_that_is_repeated_for_each_image_is_a_linear_layer() -> None:
    groups = channel_groups(_RepeatedWeight())
    weight = [_axis(groups, "linear.weight", dim) for dim in range(2)]
    assert torch.equal(weight[1], _axis(groups, "stem.weight"))
    assert torch.equal(weight[0], _axis(groups, "linear.bias"))
    assert torch.equal(weight[0], groups.outputs)
    assert not torch.isin(weight[0], weight[1]).any()
    assert not groups.mixed
    site = groups.sites["linear"]
    assert (site.operation, site.reads, site.before) == ("linear", "stem", "relu")

"""Tiny networks with one kind of wiring each, and values that training might give them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def trained(net: nn.Module, seed: int = 0) -> nn.Module:
    """Give biases, normalisations, scales and their statistics values that training might give them."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in net.state_dict().items():
        if name.endswith(("running_var", ".weight")) and tensor.dim() == 1:
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif (tensor.is_floating_point() and tensor.dim() == 1) or "layer_scale" in name:
            tensor.normal_(0.0, 0.2, generator=generator)
    return net.eval()


def with_grey_images(net: nn.Module, first: str) -> nn.Module:
    """Let the network's first convolution read one colour, with values of its own."""
    conv = net.get_submodule(first)
    assert isinstance(conv, nn.Conv2d)
    conv.in_channels, conv.weight = 1, nn.Parameter(torch.randn_like(conv.weight[:, :1]))
    return net


class Padded(nn.Module):
    """A residual net whose shortcuts skip pixels and pad channels on both sides with zeros."""

    def __init__(self, width: int, seed: int = 0, depth: int = 1, kernel: int = 3) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.conv1, self.bn1 = nn.Conv2d(3, width, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(width)
        self.layer1 = nn.Sequential(*(Basic(width, width) for _ in range(depth)))
        self.layer2 = nn.Sequential(Basic(width, 2 * width), *(Basic(2 * width, 2 * width) for _ in range(depth - 1)))
        self.linear = nn.Linear(2 * width, 4)

    def forward(self, images: Tensor) -> Tensor:
        out = torch.relu(self.bn1(self.conv1(images)))
        return self.linear(self.layer2(self.layer1(out)).mean((2, 3)))


class Basic(nn.Module):
    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        stride = width // width_in
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, images: Tensor) -> Tensor:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(images)))))
        more = (out.shape[1] - images.shape[1]) // 2
        if more:
            images = nn.functional.pad(images[:, :, ::2, ::2], (0, 0, 0, 0, more, more))
        return torch.relu(out + images)


class Concatenated(nn.Module):
    """A fire-like block and a dense one."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, width, 3)
        self.left, self.right = nn.Conv2d(width, width, 1), nn.Conv2d(width, 2 * width, 3, padding=1)
        self.norm = nn.BatchNorm2d(4 * width)
        self.classifier = nn.Linear(4 * width * 9, 4)

    def forward(self, images: Tensor) -> Tensor:
        out = self.stem(images).relu()
        out = torch.cat([self.left(out).relu(), out, self.right(out)], 1)
        return self.classifier(nn.functional.adaptive_avg_pool2d(self.norm(out), 3).flatten(1))


class Depthwise(nn.Sequential):
    def __init__(self, width: int, seed: int = 0) -> None:
        torch.manual_seed(seed)
        super().__init__(
            nn.Conv2d(3, width, 3),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
            nn.Conv2d(width, width, 3, groups=width),
            nn.BatchNorm2d(width),
            nn.ReLU6(),
            nn.Conv2d(width, 2 * width, 1),
            nn.GroupNorm(2, 2 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(2 * width),
            nn.Linear(2 * width, 4),
        )


class Vgg(nn.Sequential):
    """Convolutions in a chain, and a classifier that reads a flattened image."""

    def __init__(self, width: int, seed: int = 0, depth: int = 1) -> None:
        torch.manual_seed(seed)
        layers: list[nn.Module] = []
        for width_in, out in ((3, width), (width, 2 * width)):
            for number in range(depth):
                conv = nn.Conv2d(out if number else width_in, out, 3, padding=1)
                layers += [conv, nn.BatchNorm2d(out), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        super().__init__(
            *layers, nn.AdaptiveAvgPool2d(3), nn.Flatten(), nn.Linear(18 * width, 6), nn.ReLU(), nn.Linear(6, 4)
        )


class Gated(nn.Module):
    """An inverted bottleneck with squeeze and excitation, and a block with layer normalisation and layer scale."""

    def __init__(self, width: int, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.stem = nn.Conv2d(3, width, 3, 2, 1)
        self.expand, self.depthwise = (
            nn.Conv2d(width, 3 * width, 1),
            nn.Conv2d(3 * width, 3 * width, 3, 1, 1, 1, 3 * width),
        )
        self.squeeze, self.excite = nn.Conv2d(3 * width, width, 1), nn.Conv2d(width, 3 * width, 1)
        self.project = nn.Conv2d(3 * width, width, 1)
        self.norm, self.up, self.down = nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.layer_scale = nn.Parameter(torch.randn(width))
        self.head = nn.Linear(width, 4)

    def forward(self, images: Tensor) -> Tensor:
        out = self.stem(images)
        inner = nn.functional.silu(self.depthwise(nn.functional.silu(self.expand(out))))
        gate = self.excite(nn.functional.silu(self.squeeze(inner.mean((2, 3), keepdim=True)))).sigmoid()
        out = (out + self.project(inner * gate)).permute(0, 2, 3, 1)
        out = out + self.layer_scale * self.down(nn.functional.gelu(self.up(self.norm(out))))
        return self.head(out.mean((1, 2)))

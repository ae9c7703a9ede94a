"""The ResNets for CIFAR-10 whose checkpoints akamaster published: `--arch examples/akamaster_resnet.py:resnet20`.

He et al. 2016, section 4.2: three stages of 16, 32 and 64 channels. A shortcut into a wider stage has no weights: it
takes every second pixel and puts zeros above and below the channels it has (their option A).
"""

from torch import Tensor, nn
from torch.nn import functional as F


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut."""

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.stride = 1 if width == width_in else 2
        self.margin = (width - width_in) // 2
        self.conv1 = nn.Conv2d(width_in, width, 3, stride=self.stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Return [n, width, height / stride, width / stride]."""
        branch = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        if self.margin:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.margin, self.margin))
        return F.relu(branch + x)


class ResNet(nn.Module):
    """Stem, three stages of `num_blocks` blocks, one linear layer behind the mean over the image."""

    def __init__(self, num_blocks: int, num_classes: int, in_chans: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_chans, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = _stage(16, 16, num_blocks)
        self.layer2 = _stage(16, 32, num_blocks)
        self.layer3 = _stage(32, 64, num_blocks)
        self.linear = nn.Linear(64, num_classes)
        for layer in self.modules():
            if isinstance(layer, (nn.Conv2d, nn.Linear)):
                nn.init.kaiming_normal_(layer.weight)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits [n, classes] of images of 32 px; other sizes run, too."""
        x = F.relu(self.bn1(self.conv1(images)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.linear(x.mean((2, 3)))


def _stage(width_in: int, width: int, num_blocks: int) -> nn.Sequential:
    return nn.Sequential(Block(width_in, width), *(Block(width, width) for _ in range(num_blocks - 1)))


def resnet20(num_classes: int = 10, in_chans: int = 3) -> nn.Module:
    """0.27 million parameters."""
    return ResNet(3, num_classes, in_chans)


def resnet32(num_classes: int = 10, in_chans: int = 3) -> nn.Module:
    """0.46 million parameters."""
    return ResNet(5, num_classes, in_chans)


def resnet44(num_classes: int = 10, in_chans: int = 3) -> nn.Module:
    """0.66 million parameters."""
    return ResNet(7, num_classes, in_chans)


def resnet56(num_classes: int = 10, in_chans: int = 3) -> nn.Module:
    """0.85 million parameters."""
    return ResNet(9, num_classes, in_chans)


def resnet110(num_classes: int = 10, in_chans: int = 3) -> nn.Module:
    """1.7 million parameters."""
    return ResNet(18, num_classes, in_chans)

"""A VGG for small images, as a user would bring it: `tlv train examples/small_vgg.py:make@random ...`."""

from torch import nn


def make(num_classes: int, in_chans: int = 3) -> nn.Module:
    """Eight 3x3 convolutions in four stages, then two linear layers; for images of 16 px and more."""
    layers: list[nn.Module] = []
    width_in = in_chans
    for width in (64, 128, 256, 512):
        for _ in range(2):
            convolution = nn.Conv2d(width_in, width, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(convolution.weight, mode="fan_out", nonlinearity="relu")  # as torchvision's VGGs
            layers += [convolution, nn.BatchNorm2d(width), nn.ReLU()]
            width_in = width
        layers.append(nn.MaxPool2d(2))
    head = nn.Linear(width_in, width_in), nn.ReLU(), nn.Linear(width_in, num_classes)
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)

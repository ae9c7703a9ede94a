"""VGG-16 for two classes, only its new head trained: `tlv inspect ... --arch examples/vgg16_two_classes.py:make`."""

from torch import nn
from torchvision.models import vgg16


def make(num_classes: int = 2) -> nn.Module:
    """Freeze the convolutions and put one linear layer where the three of the original classifier were."""
    module = vgg16()
    module.features.requires_grad_(False)
    module.classifier = nn.Linear(512 * 7 * 7, num_classes)
    return module

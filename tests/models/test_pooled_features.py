"""What classifiers are given, and networks cut in two, over architectures that end in different ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build
from tlvcli.models.feature_split import FeatureSplit, backbone_features, find_split, head_module
from tlvcli.models.head import head_tensors
from tlvcli.models.pooled_features import ClassifierInput, find_classifier_input, pooled_features

# Name, image size, where the classifier begins and what it is given, the layers from the trained ones on.
NETWORKS = [
    ("resnet18", 32, ClassifierInput("fc", 512, "pooled"), ("fc",)),
    ("alexnet", 64, ClassifierInput("classifier", 256, "flat-map"), ("classifier.6",)),
    ("squeezenet1_1", 64, ClassifierInput("classifier", 512, "map"), ("classifier.1", "classifier.2", "classifier.3")),
    ("densenet121", 32, ClassifierInput("classifier", 1024, "pooled"), ("classifier",)),
    ("mobilenet_v2", 32, ClassifierInput("classifier", 1280, "pooled"), ("classifier.1",)),
    ("mobilenet_v3_small", 32, ClassifierInput("classifier", 576, "pooled"), ("classifier.3",)),
    ("efficientnet_b0", 32, ClassifierInput("classifier", 1280, "pooled"), ("classifier.1",)),
    ("mnasnet0_5", 32, ClassifierInput("classifier", 1280, "pooled"), ("classifier.1",)),
    ("shufflenet_v2_x0_5", 32, ClassifierInput("fc", 1024, "pooled"), ("fc",)),
    ("regnet_y_400mf", 32, ClassifierInput("fc", 440, "pooled"), ("fc",)),
    ("convnext_tiny", 32, ClassifierInput("classifier", 768, "map"), ("classifier.2",)),
    ("swin_t", 64, ClassifierInput("head", 768, "pooled"), ("head",)),
    ("googlenet", 64, ClassifierInput("fc", 1024, "pooled"), None),
    ("timm:convnext_atto", 32, ClassifierInput("head.fc", 320, "pooled"), ("head.fc",)),
    ("timm:vit_tiny_patch16_224", 224, ClassifierInput("head", 192, "pooled"), ("head",)),
]


def split_for_a_probe(module: nn.Module, architecture: Architecture, images: torch.Tensor) -> FeatureSplit | None:
    parameters = {name for name, _ in module.named_parameters()}
    return find_split(module, head_tensors(architecture) & parameters, images)


@pytest.mark.parametrize(("name", "size", "classifier", "tail"), NETWORKS)
def test_networks_are_cut_where_the_classifier_begins(
    name: str, size: int, classifier: ClassifierInput, tail: tuple[str, ...] | None
) -> None:
    architecture = Architecture(name=name, num_classes=7)
    module = build(architecture, seed=0).eval()
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    assert find_classifier_input(module, architecture, size) == classifier
    with torch.no_grad():
        assert pooled_features(module, classifier, images).shape == (2, classifier.num_features)
    split = split_for_a_probe(module, architecture, images)
    assert (split and split.tail) == tail
    if split:
        with torch.no_grad():
            assert torch.equal(head_module(module, split)(backbone_features(module, split, images)), module(images))


def test_pooled_features_of_vgg_are_means_over_the_map() -> None:
    module = build(Architecture(name="alexnet", num_classes=7), seed=0).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        pooled = pooled_features(module, ClassifierInput("classifier", 256, "flat-map"), images)
        by_hand = module.avgpool(module.features(images)).mean((2, 3))
    torch.testing.assert_close(pooled, by_hand)


def test_modes_and_the_random_stream_are_left_alone() -> None:
    architecture = Architecture(name="mobilenet_v3_small", num_classes=7)
    module = build(architecture, seed=0).train()
    module.features.eval()
    modes, before = [part.training for part in module.modules()], torch.get_rng_state()
    state = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    assert split_for_a_probe(module, architecture, torch.zeros(2, 3, 32, 32)) is not None
    assert [part.training for part in module.modules()] == modes
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(tensor, state[name]) for name, tensor in module.state_dict().items())
    assert not any(part._forward_pre_hooks or part._forward_hooks for part in module.modules())


def test_the_head_by_itself_is_the_network_s_own() -> None:
    architecture = Architecture(name="squeezenet1_1", num_classes=7)
    module = build(architecture, seed=0)
    split = split_for_a_probe(module, architecture, torch.zeros(2, 3, 64, 64))
    assert split is not None
    assert {id(parameter) for parameter in head_module(module, split).parameters()} == {
        id(module.get_parameter(name)) for name in head_tensors(architecture)
    }


NETS = """
from torch import nn
from torch.nn import functional as F


class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        self.fc = nn.Linear(4, num_classes)

    def forward(self, x):
        return F.log_softmax(self.features(x), 1)

    def features(self, x):
        return self.fc(self.stem(x).mean((2, 3)))


class DropsByFunction(Net):
    def forward(self, x):
        return self.fc(F.dropout(self.stem(x).mean((2, 3)), 0.5, self.training))


def dense(num_classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, num_classes))


def sequence(num_classes):
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(), nn.Linear(16, num_classes)
    )
"""


@pytest.mark.parametrize(
    ("make", "classifier", "tail"),
    [
        # What follows the classifier as a function cannot be called by itself; its input is found all the same.
        ("Net", ClassifierInput("fc", 4, "pooled"), None),
        # Its features differ from step to step.
        ("DropsByFunction", ClassifierInput("fc", 4, "pooled"), None),
        ("sequence", ClassifierInput("4", 4, "flat-map"), ("4",)),
        # A classifier that is given the image has no features.
        ("dense", None, ("1",)),
    ],
)
def test_networks_of_the_user_s_own(
    tmp_path: Path, make: str, classifier: ClassifierInput | None, tail: tuple[str, ...] | None
) -> None:
    (tmp_path / "nets.py").write_text(NETS)
    architecture = Architecture(name=f"{tmp_path / 'nets.py'}:{make}", num_classes=5)
    module = build(architecture, seed=0)
    assert find_classifier_input(module, architecture, 8) == classifier
    split = split_for_a_probe(module, architecture, torch.randn(2, 3, 8, 8))
    assert (split and split.tail) == tail


def test_images_that_the_network_does_not_take() -> None:
    architecture = Architecture(name="alexnet", num_classes=7)
    assert find_classifier_input(build(architecture, seed=0), architecture, 16) is None

"""What a classifier is given, in networks that end in different ways."""

from __future__ import annotations

import pytest
import torch

from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build
from tlvcli.models.classifier_features import classifier_features


@pytest.mark.parametrize(
    ("name", "size", "classifier"),
    [
        ("shufflenet_v2_x0_5", 32, "fc"),
        ("mobilenet_v3_small", 32, "classifier.3"),
        ("googlenet", 32, "fc"),
        ("timm:deit_tiny_patch16_224", 224, "head"),
    ],
)
def test_a_linear_classifier_gives_the_outputs_of_its_features(name: str, size: int, classifier: str) -> None:
    module = build(Architecture(name=name, num_classes=7), seed=0).eval()
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = classifier_features(module, images, num_classes=7)
        assert found.classifier == classifier
        assert torch.allclose(module.get_submodule(classifier)(found.values), found.outputs, atol=1e-5)
        assert torch.equal(module(images), found.outputs)


def test_a_map_is_averaged_over_its_places() -> None:
    module = build(Architecture(name="squeezenet1_1", num_classes=7), seed=0).eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = classifier_features(module, images, num_classes=7)
        expected = module.get_submodule("features")(images).mean(dim=(2, 3))
    assert (found.classifier, found.values.shape) == ("classifier.1", (2, 512))
    assert torch.allclose(found.values, expected, atol=1e-6)


def test_hooks_are_gone_afterwards() -> None:
    module = build(Architecture(name="shufflenet_v2_x0_5", num_classes=7), seed=0).eval()
    with pytest.raises(RuntimeError):
        classifier_features(module, torch.zeros(2, 4, 32, 32), num_classes=7)
    assert not any(part._forward_hooks for part in module.modules())

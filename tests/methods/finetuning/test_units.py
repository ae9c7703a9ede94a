"""What counts as a layer, against lists written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.methods.finetuning.conftest import See

RESNET18 = ["conv1", *(f"layer{stage}.{block}" for stage in (1, 2, 3, 4) for block in (0, 1)), "fc"]
VGG16 = [
    *(f"features.{k}" for k in (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)),
    *(f"classifier.{k}" for k in (0, 3, 6)),
]
VIT_B_16 = ["conv_proj", *(f"encoder.layers.encoder_layer_{k}" for k in range(12)), "heads.head"]
INCEPTION_V4 = [*(f"features.{k}" for k in range(22)), "last_linear"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("resnet18", RESNET18), ("vgg16", VGG16), ("vit_b_16", VIT_B_16), ("timm:inception_v4", INCEPTION_V4)],
)
def test_units_of_architectures(see: See, name: str, expected: list[str]) -> None:
    if name.startswith("timm:"):
        pytest.importorskip("timm")
    assert [unit.name for unit in see(name).units] == expected


@pytest.mark.parametrize("name", ["resnet18", "vgg16_bn", "vit_b_16", "swin_t", "googlenet", "densenet121"])
def test_every_parameter_is_in_one_unit(see: See, name: str) -> None:
    network = see(name)
    tensors = [tensor for unit in network.units for tensor in unit.tensors]
    assert len(tensors) == len(set(tensors))
    assert set(network.dimensions) <= set(tensors)
    assert network.head <= set(network.units[-1].tensors)


def test_normalisation_belongs_to_what_comes_before(see: See) -> None:
    assert see("resnet18").units[0].modules == ("conv1", "bn1")
    assert see("vgg16_bn").units[1].modules == ("features.3", "features.4")
    assert "encoder.ln" in see("vit_b_16").units[-2].modules


def test_tokens_and_positions_belong_to_the_input(see: See) -> None:
    assert {"class_token", "encoder.pos_embedding"} <= set(see("vit_b_16").units[0].tensors)


def test_auxiliary_classifiers_belong_to_the_classifier(see: See) -> None:
    assert see("googlenet").units[-1].modules == ("aux1", "aux2", "fc")
    assert see("googlenet").units[-2].name == "inception5b"


def test_the_order_is_that_of_the_forward_pass(see: See, tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("""
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.fc = nn.Linear(8, num_classes)
        self.second = nn.Conv2d(4, 8, 3)
        self.first = nn.Conv2d(3, 4, 3)

    def forward(self, x):
        return self.fc(self.second(self.first(x)).mean((2, 3)))

def make(num_classes):
    return Net(num_classes)
""")
    assert [unit.name for unit in see(f"{file}:make", image_size=16).units] == ["first", "second", "fc"]


def test_stages_of_one_form_are_opened_together(see: See) -> None:
    names = [unit.name for unit in see("maxvit_t").units]
    assert {"blocks.0.layers.0", "blocks.3.layers.1"} <= set(names)

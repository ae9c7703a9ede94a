"""One linear layer in the place of a classifier, for networks that end in different ways."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build, build_skeleton
from tlvcli.models.head import differing_tensors, head_tensors

HEADS = [
    ("vgg16", {"classifier.weight": (3, 25088), "classifier.bias": (3,)}),
    ("resnet18", {"fc.weight": (3, 512), "fc.bias": (3,)}),
    ("squeezenet1_1", {"classifier.2.weight": (3, 512), "classifier.2.bias": (3,)}),
    ("convnext_tiny", {"classifier.2.weight": (3, 768), "classifier.2.bias": (3,)}),
    ("mobilenet_v3_small", {"classifier.weight": (3, 576), "classifier.bias": (3,)}),
    ("vit_b_16", {"heads.weight": (3, 768), "heads.bias": (3,)}),
]


@pytest.mark.parametrize(("name", "expected"), HEADS)
def test_heads(name: str, expected: dict[str, tuple[int, ...]]) -> None:
    architecture = Architecture(name=name, num_classes=3, head="linear")
    state = build_skeleton(architecture).state_dict()
    head = head_tensors(architecture)
    assert {tensor: tuple(state[tensor].shape) for tensor in head} == expected
    plain = build_skeleton(Architecture(name=name, num_classes=3)).state_dict()
    assert [tensor for tensor in state if tensor not in head] == [
        tensor for tensor in plain if tensor.partition(".")[0] != next(iter(expected)).partition(".")[0]
    ]


@pytest.mark.parametrize("name", ["squeezenet1_1", "mobilenet_v3_small", "googlenet"])
def test_they_compute_and_are_seeded(name: str) -> None:
    architecture = Architecture(name=name, num_classes=3, head="linear")
    module, again = build(architecture, seed=0).eval(), build(architecture, seed=0)
    assert module(torch.zeros(2, 3, 64, 64)).shape == (2, 3)
    assert all(torch.equal(tensor, again.state_dict()[key]) for key, tensor in module.state_dict().items())


def test_a_network_that_is_one_sequence_keeps_its_backbone(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("""
from torch import nn

class Net(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

    def forward(self, x):
        return self.net(x)

def make(num_classes):
    return Net(num_classes)

def none(num_classes):
    return nn.Sequential(nn.Conv2d(3, 4, 3))
""")
    state = build_skeleton(Architecture(name=f"{tmp_path}/net.py:make", num_classes=7, head="linear")).state_dict()
    assert {name: tuple(tensor.shape) for name, tensor in state.items() if name.startswith("net.3")} == {
        "net.3.weight": (7, 4),
        "net.3.bias": (7,),
    }
    with pytest.raises(TlvError) as caught:
        build(Architecture(name=f"{tmp_path}/net.py:none", num_classes=7, head="linear"), seed=0)
    assert caught.value.error_id == "head-not-found"


def test_what_differs_between_two_architectures() -> None:
    old, new = (Architecture(name="vgg11", num_classes=n, head=head) for n, head in ((5, None), (2, "linear")))
    names = {f"classifier.{k}.{kind}" for k in (0, 3, 6) for kind in ("weight", "bias")}
    assert differing_tensors(old, new) == {*names, "classifier.weight", "classifier.bias"}
    assert differing_tensors(old, old.model_copy(update={"num_classes": 2})) == head_tensors(old)

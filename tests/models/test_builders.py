"""Architectures by name: torchvision, timm, a user's file; and what is wrong with a name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build, build_skeleton, classifier_names
from tlvcli.models.head import head_tensors

NET = """
import torch

def make(num_classes):
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(num_classes))

def linear(num_classes, in_chans=3):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(in_chans * 4, num_classes))

def no_module(num_classes):
    return 7

def broken(num_classes):
    raise ValueError("no such width")

def leaves(num_classes):
    raise SystemExit(0)
"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.py"
    path.write_text(NET)
    return path


def test_one_seed_one_initialisation_and_the_global_generator_rests() -> None:
    architecture = Architecture(name="squeezenet1_1", num_classes=3)
    state = torch.get_rng_state()
    first, again, other = (build(architecture, seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["features.0.weight"], other["features.0.weight"])


@pytest.mark.parametrize("name", ["resnet18", "googlenet", "vit_b_32", "swin_t", "regnet_y_400mf"])
def test_skeleton_has_the_modules_names_and_shapes(name: str) -> None:
    architecture = Architecture(name=name, num_classes=7)
    real, skeleton = build(architecture, seed=0).state_dict(), build_skeleton(architecture).state_dict()
    assert [(key, value.shape) for key, value in real.items()] == [
        (key, value.shape) for key, value in skeleton.items()
    ]
    assert all(tensor.is_meta for name, tensor in skeleton.items() if name.endswith(".weight") and tensor.dim() == 4)


def test_input_channels_widen_the_stem_only() -> None:
    three = build_skeleton(Architecture(name="resnet18", num_classes=2)).state_dict()
    one = build_skeleton(Architecture(name="resnet18", num_classes=2, in_chans=1)).state_dict()
    assert [name for name in three if three[name].shape != one[name].shape] == ["conv1.weight"]
    assert one["conv1.weight"].shape == (64, 1, 7, 7)
    module = build(Architecture(name="googlenet", num_classes=2, in_chans=4), seed=0).eval()
    assert module(torch.zeros(1, 4, 64, 64)).shape == (1, 2)


def test_a_users_file(net: Path) -> None:
    module = build(Architecture(name=f"{net}:linear", num_classes=5, in_chans=1), seed=0)
    assert module(torch.zeros(2, 1, 2, 2)).shape == (2, 5)


def test_timm() -> None:
    pytest.importorskip("timm")
    module = build(Architecture(name="timm:resnet10t", num_classes=5, in_chans=1), seed=0).eval()
    assert module(torch.zeros(1, 1, 32, 32)).shape == (1, 5)
    with pytest.raises(TlvError, match="timm has no model resnet10x") as caught:
        build(Architecture(name="timm:resnet10x", num_classes=5), seed=0)
    assert "resnet10t" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "error_id", "words"),
    [
        ("resnet81", "architecture-unknown", "resnet"),
        ("{net}:mak", "architecture-unknown", "did you mean make"),
        ("{net}:no_module", "architecture-invalid", "torch.nn.Module"),
        ("{net}:broken", "architecture-invalid", "accept these arguments"),
        ("{net}:leaves", "architecture-invalid", "accept these arguments"),
        ("absent.py:make", "architecture-unknown", "file.py:callable"),
    ],
)
def test_wrong_names(net: Path, name: str, error_id: str, words: str) -> None:
    with pytest.raises(TlvError) as caught:
        build(Architecture(name=name.replace("{net}", str(net)), num_classes=2), seed=0)
    assert caught.value.error_id == error_id
    assert words in caught.value.hint


def test_a_file_that_ends_the_program(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("import sys\nsys.exit(0)\n")
    with pytest.raises(TlvError, match="raises SystemExit: 0") as caught:
        build(Architecture(name=f"{tmp_path}/script.py:make", num_classes=2), seed=0)
    assert caught.value.error_id == "architecture-invalid"


def test_heads() -> None:
    assert head_tensors(Architecture(name="resnet18", num_classes=10)) == {"fc.weight", "fc.bias"}
    assert head_tensors(Architecture(name="squeezenet1_1", num_classes=1)) == {
        "classifier.1.weight",
        "classifier.1.bias",
    }
    assert len(head_tensors(Architecture(name="inception_v3", num_classes=10))) == 4


def test_only_classifiers_are_offered() -> None:
    names = classifier_names()
    assert "resnet18" in names
    assert not [name for name in names if "rcnn" in name or "deeplab" in name or "raft" in name]

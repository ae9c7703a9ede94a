"""Architectures recognised from names and shapes, and the index that ships with the package."""

from __future__ import annotations

import json
from importlib import resources

import pytest

from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.models.builders import build_skeleton
from tlvcli.models.recognise import build_signature_index, recognise


def test_the_shipped_index_is_fresh() -> None:
    shipped = json.loads(resources.files("tlvcli.models").joinpath("signatures.json").read_text())
    here = build_signature_index()
    # Another torchvision may have more architectures; those that both know must agree.
    known = {name for names in here.values() for name in names}
    assert {key: names for key, names in shipped.items() if set(names) <= known} == {
        key: names for key, names in here.items() if key in shipped
    }
    assert sum(map(len, shipped.values())) >= 80


@pytest.mark.parametrize(
    "architecture",
    [
        Architecture(name="resnext50_32x4d", num_classes=10, in_chans=4),
        Architecture(name="wide_resnet50_2", num_classes=1000),
        Architecture(name="vit_b_32", num_classes=1),
        Architecture(name="squeezenet1_0", num_classes=3),
        Architecture(name="efficientnet_b2", num_classes=7, in_chans=1),
    ],
)
def test_classes_and_channels_are_read_off(architecture: Architecture) -> None:
    state = build_skeleton(architecture).state_dict()
    specs = TensorsInMemory(dict(sorted(state.items()))).specs
    recognised = recognise(specs)
    assert recognised is not None
    assert recognised.architecture == architecture
    assert recognised.tensor_order == tuple(state)


def test_another_width_or_name_is_not_recognised() -> None:
    specs = list(TensorsInMemory(build_skeleton(Architecture(name="resnet18", num_classes=10)).state_dict()).specs)
    wider = [TensorSpec(spec.name, spec.shape, spec.dtype) for spec in specs]
    position = next(i for i, spec in enumerate(wider) if spec.name == "layer3.0.conv1.weight")
    wider[position] = TensorSpec("layer3.0.conv1.weight", (300, 128, 3, 3), "float32")
    assert recognise(wider) is None
    assert recognise([*specs, TensorSpec("extra.weight", (1,), "float32")]) is None

"""The architecture that a checkpoint loads into, and the order of its state_dict."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.models.recognition.conftest import ShapesOf, specs_of
from tlvcli.core.provenance import Architecture
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.models.builders import classifier_names
from tlvcli.models.recognition.architecture import fit_arguments, recognise


@pytest.mark.parametrize("name", classifier_names())
def test_classes_channels_and_order_are_read_off(name: str, shapes_of: ShapesOf) -> None:
    shapes = shapes_of(name, 10, 4)
    recognised = recognise(specs_of(dict(sorted(shapes.items()))))
    assert recognised is not None
    assert recognised.architecture == Architecture(name=name, num_classes=10, in_chans=4)
    assert recognised.tensor_order == tuple(shapes)


def test_what_would_not_load_is_not_recognised(shapes_of: ShapesOf) -> None:
    shapes = shapes_of("resnet18", 10, 4)
    assert recognise(specs_of({**shapes, "layer3.0.conv1.weight": (300, 128, 3, 3)})) is None
    assert recognise(specs_of({**shapes, "extra.weight": (1,)})) is None
    assert recognise(specs_of({**shapes, "extra.num_batches_tracked": ()})) is None
    assert recognise(specs_of({**shapes, "fc.bias": (9,)})) is None
    assert recognise(specs_of(shapes, "backbone.")) is None
    assert recognise(specs_of({name: shape for name, shape in shapes.items() if name != "fc.bias"})) is None


def test_timms_are_not(shapes_of: ShapesOf) -> None:
    pytest.importorskip("timm")
    assert recognise(specs_of(shapes_of("timm:resnet18d", 10, 3))) is None


def test_no_classes_are_no_architecture(shapes_of: ShapesOf) -> None:
    shapes = {**shapes_of("resnet18", 10, 4), "fc.weight": (0, 512), "fc.bias": (0,)}
    assert recognise(specs_of(shapes)) is None


@pytest.mark.parametrize("name", ["resnext50_32x4d", "squeezenet1_0", "vit_b_32", "googlenet"])
def test_arguments_of_a_named_architecture(name: str, shapes_of: ShapesOf) -> None:
    assert fit_arguments(name, specs_of(shapes_of(name, 10, 4))) == Architecture(name=name, num_classes=10, in_chans=4)


def test_recognised_without_torch() -> None:
    code = (
        "import sys; from tlvcli.core.graph import TensorSpec; "
        "from tlvcli.models.recognition.architecture import recognise; "
        "from tlvcli.models.recognition.catalogue import templates_of; "
        "open_sizes = {'classes': 7, 'channels': 3}; "
        "specs = [TensorSpec(name, tuple(open_sizes.get(size, size) for size in template), 'float32') "
        "for name, template in templates_of('vit_b_16').items()]; "
        "assert recognise(specs).architecture.num_classes == 7; "
        "assert not {'torch', 'torchvision', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.data
def test_a_real_checkpoint(shared_data: Path) -> None:
    recognised = recognise(open_checkpoint(shared_data / "checkpoints" / "squeezenet1_1-imagenet.pth").specs)
    assert recognised is not None
    assert recognised.architecture == Architecture(name="squeezenet1_1", num_classes=1000)

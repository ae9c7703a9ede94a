"""Kinds of layers, from classes and from shapes, and that the two agree where both can know."""

from __future__ import annotations

import pytest
from torch import nn

from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.models.builders import build_skeleton
from tlvcli.models.graph import graph_of_module, graph_of_tensors


@pytest.mark.parametrize(
    "name",
    ["resnet18", "mobilenet_v2", "squeezenet1_1", "densenet121", "vit_b_16", "shufflenet_v2_x1_0", "vgg11"],
)
def test_shapes_tell_what_classes_tell(name: str) -> None:
    module = build_skeleton(Architecture(name=name, num_classes=10))
    by_class, by_shape = graph_of_module(module), graph_of_tensors(TensorsInMemory(module.state_dict()).specs)
    assert [(layer.name, layer.kind) for layer in by_class.layers] == [
        (layer.name, layer.kind) for layer in by_shape.layers
    ]
    assert by_class.buffers == by_shape.buffers
    assert by_class.num_parameters == sum(parameter.numel() for parameter in module.parameters())


def test_classes_know_what_shapes_cannot() -> None:
    module = nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.Embedding(5, 6), nn.Conv1d(3, 4, 3), nn.Conv3d(1, 2, 3))
    assert [layer.kind for layer in graph_of_module(module).layers] == [
        "conv-transpose",
        "other",
        "conv1d",
        "conv3d",
    ]
    shapes = graph_of_tensors(TensorsInMemory(module.state_dict()).specs)
    assert [layer.kind for layer in shapes.layers] == ["conv2d", "linear", "conv1d", "conv3d"]


def test_a_greyscale_stem_is_not_depthwise() -> None:
    specs = [TensorSpec("a.weight", (8, 1, 3, 3), "float32"), TensorSpec("b.weight", (8, 1, 3, 3), "float32")]
    assert [layer.kind for layer in graph_of_tensors(specs).layers] == ["conv2d", "depthwise-conv2d"]


def test_names_without_a_dot() -> None:
    graph = graph_of_tensors([TensorSpec("weight", (4, 3), "float32"), TensorSpec("scale", (), "float32")])
    assert [(layer.name, layer.kind) for layer in graph.layers] == [("", "linear")]

"""Blocks are found in the way of the channels, whatever the modules are called, and matched in order."""

from __future__ import annotations

import pytest
from torch import nn

from tests.methods.coherent.nets import Gated, Padded, Vgg
from tlvcli.core.graph import ModelGraph
from tlvcli.core.provenance import Architecture
from tlvcli.methods.coherent.blocks import Block, find_blocks
from tlvcli.methods.coherent.stages import match_blocks
from tlvcli.models.builders import build_skeleton
from tlvcli.models.graph import graph_of_module


def _blocks(graph: ModelGraph) -> tuple[Block, ...]:
    assert graph.channels is not None
    weights = {layer.name: weight for layer in graph.layers if (weight := layer.find("weight"))}
    kernels = {name: weight.shape[2:] or (1, 1) for name, weight in weights.items() if len(weight.shape) > 1}
    return find_blocks(graph.channels(), kernels)


def _of(name: str) -> tuple[Block, ...]:
    return _blocks(graph_of_module(build_skeleton(Architecture(name=name, num_classes=10))))


def _of_module(net: nn.Module) -> tuple[Block, ...]:
    return _blocks(graph_of_module(net))


@pytest.mark.parametrize(
    ("name", "blocks", "residual", "stages"),
    [
        ("resnet18", 8, 8, [1, 2, 3, 4]),
        pytest.param("resnet50", 16, 16, [1, 2, 3, 4], marks=pytest.mark.slow),
        ("squeezenet1_1", 8, 0, [1, 2, 3]),
        ("vgg11", 7, 0, [1, 2, 3, 4]),
        pytest.param("googlenet", 10, 0, [1, 2, 3, 4], marks=pytest.mark.slow),
        pytest.param("densenet121", 58, 0, [1, 2, 3, 4], marks=pytest.mark.slow),
        ("mobilenet_v2", 17, 10, [0, 1, 2, 3, 4]),
        pytest.param("convnext_tiny", 21, 18, [0, 1, 2, 3], marks=pytest.mark.slow),
    ],
)
def test_blocks_of_real_networks(name: str, blocks: int, residual: int, stages: list[int]) -> None:
    stem, *found = _of(name)
    assert stem.reads.shape == (3,)
    assert (len(found), sum(block.is_residual for block in found)) == (blocks, residual)
    assert list(dict.fromkeys(block.stage for block in found)) == stages


def test_halves_go_with_the_neighbour_of_the_nearest_name() -> None:
    assert _of("squeezenet1_1")[1].layers == tuple(f"features.3.{x}" for x in ("squeeze", "expand1x1", "expand3x3"))
    assert _of("mobilenet_v2")[3].layers == tuple(f"features.3.conv.{x}" for x in ("0.0", "1.0", "2"))
    assert _of("densenet121")[7].layers[0] == "features.transition1.conv"


def test_what_goes_in_and_out_of_a_block_is_in_the_order_of_its_readers() -> None:
    stem, first, *_, last = _of("resnet18")
    assert stem.writes.tolist() == first.reads.tolist() == first.writes.tolist()
    assert (len(last.reads), len(last.writes)) == (512, 512)
    assert _of("resnet18")[3].shortcuts == {"layer2.0.downsample.0"}
    stem, *blocks = _of_module(Padded(4, depth=2))
    assert [(len(block.reads), len(block.writes)) for block in blocks] == [(4, 4), (4, 4), (4, 8), (8, 8)]


def test_gates_and_classifiers_are_no_part_of_blocks() -> None:
    layers = [layer for block in _of_module(Gated(4)) for layer in block.layers]
    assert layers == ["stem", "expand", "depthwise", "project", "up", "down"]
    assert [block.layers for block in _of_module(Vgg(4))] == [("0",), ("4",)]


def test_stages_match_where_they_agree_and_else_all_blocks_in_order() -> None:
    squeezenet, resnet18, resnet50, mobilenet = (
        _of(name)[1:] for name in ("squeezenet1_1", "resnet18", "resnet50", "mobilenet_v2")
    )
    assert match_blocks(squeezenet, resnet18) == list(squeezenet)
    assert [resnet50.index(block) for block in match_blocks(resnet50, resnet18) if block] == [0, 1, 3, 5, 7, 10, 13, 14]
    fed = match_blocks(resnet18, resnet50)
    assert [resnet18.index(block) if block else None for block in fed[:4]] == [0, 1, None, 2]
    assert [mobilenet.index(block) for block in match_blocks(mobilenet, resnet18) if block] == [
        0,
        2,
        4,
        6,
        8,
        10,
        12,
        14,
    ]

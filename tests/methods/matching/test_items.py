"""How networks are cut into blocks, on trees one can follow by hand."""

from __future__ import annotations

import pytest
from torch import nn

from tlvcli.core.graph import Module
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.dpiat import NORMALISATION, WEIGHTS
from tlvcli.methods.matching.items import Form, Item, blocks, flat, tree_of_names
from tlvcli.methods.matching.layers import followers, standardise
from tlvcli.methods.matching.score import shape_score
from tlvcli.models.builders import build_skeleton
from tlvcli.models.graph import graph_of_module, graph_of_tensors

GROUPS = WEIGHTS + NORMALISATION


def _names(items: tuple[Item, ...]) -> list[object]:
    return [_names(item.items) if item.items else item.name for item in items]


def _cut(names: list[str]) -> list[object]:
    forms = {name: Form("conv2d", (4, 4, 3, 3)) for name in names if not name.endswith("bn")}
    forms |= {name: Form("batch-norm", (4,)) for name in names if name.endswith("bn")}
    return _names(blocks(tree_of_names(names), lambda module: forms.get(module.name)))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a", "b"], ["a", "b"]),
        (["stem", "body.a", "body.b", "head"], ["stem", ["body.a", "body.b"], "head"]),
        # One convolution is no block.
        (["stem", "body.a", "body.bn", "head"], ["stem", "body.a", "body.bn", "head"]),
        # Blocks of blocks are spliced: two levels remain.
        (["n.1.a", "n.1.b", "n.2.a", "n.2.b", "head"], [["n.1.a", "n.1.b"], ["n.2.a", "n.2.b"], "head"]),
        # More single layers than blocks: the blocks within dissolve.
        (["x.n.a", "x.b", "x.c", "x.m.a", "x.m.b", "y"], [["x.n.a", "x.b", "x.c", "x.m.a", "x.m.b"], "y"]),
        # A lone container does not count as a level.
        (["net.a", "net.b", "net.c"], ["net.a", "net.b", "net.c"]),
    ],
)
def test_blocks(names: list[str], expected: list[object]) -> None:
    assert _cut(names) == expected


def test_a_parameterless_layer_counts_where_the_tree_has_it() -> None:
    forms = {name: Form("conv2d", (4, 4, 3, 3)) for name in ("n.1.a", "n.1.b", "n.2.a", "n.2.b")}
    block = [
        Module(f"n.{number}", "Sequential", tuple(Module(f"n.{number}.{leaf}", "Conv2d") for leaf in "ab"))
        for number in (1, 2)
    ]
    relus = tuple(Module(f"n.r{number}", "ReLU") for number in range(3))
    for leaves, expected in (((), [["n.1.a", "n.1.b"], ["n.2.a", "n.2.b"], "h"]), (relus, None)):
        tree = Module("", "Module", (Module("n", "Sequential", (*block, *leaves)), Module("h", "ReLU")))
        cut = _names(blocks(tree, lambda module: forms.get(module.name)))
        assert cut == (expected or [["n.1.a", "n.1.b", "n.2.a", "n.2.b", "n.r0", "n.r1", "n.r2"], "h"])


def test_flat_keeps_registration_order() -> None:
    forms = {name: Form("linear", (2, 2)) for name in ("b.x", "a", "c.y.z")}
    items = flat(tree_of_names(["b.x", "a", "c.y.z"]), lambda module: forms.get(module.name))
    assert [item.name for item in items] == ["b.x", "a", "c.y.z"]


def test_a_hostile_name_is_cut_short() -> None:
    name = ".".join("x" * 5000)
    assert _cut([name, "y"]) == [name, "y"]


@pytest.mark.parametrize("name", ["resnet18", "densenet121", "mobilenet_v2", "convnext_tiny", "inception_v3"])
def test_names_alone_give_the_blocks_of_the_module(name: str) -> None:
    module = build_skeleton(Architecture(name=name, num_classes=10))
    by_class, by_name = graph_of_module(module), graph_of_tensors(TensorsInMemory(module.state_dict()).specs)
    assert by_name.tree is None
    cut = standardise(by_class, GROUPS, "blocks")
    assert cut == standardise(by_name, GROUPS, "blocks")
    assert sum(len(item.items) or 1 for item in cut) == len(
        by_class.of_kind(*(kind for group in GROUPS for kind in group))
    )


def test_shape_score() -> None:
    wide, narrow = Form("conv2d", (128, 64, 3, 3)), Form("conv2d", (64, 64, 3, 3))
    assert shape_score(wide, narrow) == shape_score(narrow, wide) == 0.5
    assert shape_score(narrow, narrow) == 1.0
    assert shape_score(Form("conv2d", (8, 4, 1, 1)), Form("conv2d", (4, 2, 3, 3))) == pytest.approx(0.25 / 9)
    assert shape_score(narrow, Form("depthwise-conv2d", (64, 1, 3, 3))) == 0.0
    assert shape_score(Form("norm", (8,)), Form("norm", (8, 4, 4))) == 0.0
    assert shape_score(None, narrow) == 0.0


def test_normalisation_follows_the_layer_beside_it() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3),
        nn.ReLU(),
        nn.BatchNorm2d(8),
        nn.BatchNorm2d(8),
        nn.Linear(8, 4),
        nn.LayerNorm(8),
        nn.Sequential(nn.ConvTranspose2d(8, 6, 3)),
        nn.BatchNorm2d(6),
        nn.ConvTranspose2d(6, 5, 3),
        nn.BatchNorm2d(5, affine=False),
    )
    found = {name: layer.name for name, layer in followers(graph_of_module(net)).items()}
    assert found == {"0": "2", "8": "9"}


def test_densenet_normalises_what_it_concatenates() -> None:
    graph = graph_of_module(build_skeleton(Architecture(name="densenet121", num_classes=10)))
    found = {name: layer.name for name, layer in followers(graph).items()}
    first = "features.denseblock1.denselayer1"
    assert found["features.conv0"] == "features.norm0"
    assert found[f"{first}.conv1"] == f"{first}.norm2"
    assert f"{first}.norm1" not in found.values()

"""Write docs/coverage.md: what `dpiat` and `tlv` take over between any two of twenty networks.

`python docs/coverage.py` takes one to three minutes, and the memory of twenty networks. It makes plans only, and moves
no tensor; `make docs` leaves it alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from tlvcli.core.graph import ModelGraph
from tlvcli.core.provenance import Architecture
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import find_method
from tlvcli.models.builders import build
from tlvcli.models.graph import graph_of_module

ARCHITECTURES = (
    *("resnet18", "resnet50", "wide_resnet50_2", "resnext50_32x4d", "vgg11_bn", "vgg16", "alexnet"),
    *("squeezenet1_1", "densenet121", "googlenet", "inception_v3", "mobilenet_v2", "mobilenet_v3_large"),
    *("shufflenet_v2_x1_0", "efficientnet_b0", "mnasnet1_0", "regnet_y_400mf", "convnext_tiny", "vit_b_16", "swin_t"),
)
METHODS = ("dpiat", "tlv")

INTRODUCTION = """# Coverage of every pair

Written by `docs/coverage.py`. A row is a source, a column a target, and a number the share of the target's parameters,
in percent, whose value comes from the source; the rest are the target's own initialisation, or drawn. Coverage counts
values, not knowledge: one source layer may feed many target layers (the command warns above ten), a weight cut from a
much larger one counts in full, and the wide linear layers of VGG and AlexNet alone decide their rows and columns.
`tlv` draws linear layers from statistics, which counts as nothing: where a target is made of them it stays near 0.
"""

State = dict[str, torch.Tensor]


def main() -> None:
    """Plan every pair by every method and write the tables."""
    networks = {name: _network(name) for name in ARCHITECTURES}
    text = INTRODUCTION
    for method in METHODS:
        text += f"\n## `{method}`\n\n" + "".join(f"{line}\n" for line in _table(method, networks))
    Path(__file__).with_name("coverage.md").write_text(text)


def _network(name: str) -> tuple[State, ModelGraph]:
    module = build(Architecture(name=name, num_classes=1000), seed=0)
    return module.state_dict(), graph_of_module(module)


def _table(method: str, networks: dict[str, tuple[State, ModelGraph]]) -> Iterator[str]:
    yield f"| source \\ target | {' | '.join(networks)} |"
    yield f"|---|{'--:|' * len(networks)}"
    for source in networks:
        cells = (
            "–" if source == target else _percent(method, networks[source], networks[target]) for target in networks
        )
        yield f"| {source} | {' | '.join(cells)} |"


def _percent(method: str, source: tuple[State, ModelGraph], target: tuple[State, ModelGraph]) -> str:
    state, graph = target
    plan = make_recipe(find_method(method), {}, {}).plan(TensorsInMemory(source[0]), source[1], state, graph, seed=0)
    coverage = 100 * plan.coverage(graph)
    return f"{coverage:.0f}" if coverage >= 1 else f"{coverage:.1f}" if coverage >= 0.05 else "<0.1"


if __name__ == "__main__":
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("error")
        main()

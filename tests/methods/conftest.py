"""Small networks of different families, and a plan made by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from tlvcli.core.plan import TransferPlan
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import find_method
from tlvcli.models.graph import graph_of_module


def plain_net(widths: tuple[int, ...] = (8, 12), num_classes: int = 5, seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    layers: list[nn.Module] = []
    for width_in, width in zip((3, *widths), widths, strict=False):
        layers += [nn.Conv2d(width_in, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes))


def odd_net(seed: int = 1) -> nn.Sequential:
    """A large stem, a depthwise, a grouped, an asymmetric and a pointwise convolution, and no bias in most."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 10, 7, bias=False),
        nn.BatchNorm2d(10),
        nn.Conv2d(10, 10, 3, groups=10, bias=False),
        nn.Conv2d(10, 20, (1, 5), groups=2),
        nn.Conv2d(20, 6, 1, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 4),
        nn.Linear(4, 3, bias=False),
    )


Planner = Callable[..., tuple[TransferPlan, dict[str, torch.Tensor]]]


@pytest.fixture
def plan() -> Planner:
    """Plan a transfer between two modules by a method's name; returns the plan and the new tensors.

    Keywords are choices under `mapping.`, the matching's are in a dictionary of their own.
    """

    def run(
        method: str,
        source: nn.Module,
        target: nn.Module,
        /,
        seed: int = 0,
        matching: dict[str, str] | None = None,
        **mapping: str,
    ) -> object:
        from tlvcli.methods.execute import execute

        recipe = make_recipe(find_method(method), matching or {}, mapping)
        tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
        made = recipe.plan(tensors, graph_of_module(source), state, graph_of_module(target), seed=seed)
        return made, dict(execute(made, tensors, state))

    return run  # type: ignore[return-value]


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield

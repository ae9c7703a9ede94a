"""Tiny networks with everything that a fit has to find its way through."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tlvcli.core.plan import TransferPlan
from tlvcli.core.runtime import make_generator, seeded_globally
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.methods.execute import execute
from tlvcli.methods.fitting.fit import Fitting, fit
from tlvcli.methods.fitting.options import FitOptions
from tlvcli.methods.recipe import make_recipe
from tlvcli.methods.table import find_method
from tlvcli.models.graph import graph_of_module


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Residual(nn.Module):
    """A stem, `num_blocks` residual blocks, a head."""

    def __init__(self, num_blocks: int, width: int = 4) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(num_blocks)))
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(F.relu(self.stem(x))).mean((2, 3)))


def chain(width: int = 4) -> nn.Sequential:
    """A grouped and a depthwise convolution among others, strides, a bias without normalisation, two linear layers."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, groups=2, bias=False),
        nn.BatchNorm2d(2 * width),
        nn.ReLU6(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(2 * width, 6),
        nn.ReLU(),
        nn.Linear(6, 5),
    )


def seeded(build: type[nn.Module] | object, *arguments: int, seed: int = 0) -> nn.Module:
    """Return a network in evaluation mode whose normalisations have statistics and scales of their own."""
    with seeded_globally(seed):
        net: nn.Module = build(*arguments)  # type: ignore[operator]
        for layer in net.modules():
            if isinstance(layer, nn.BatchNorm2d):
                for tensor in (layer.running_mean, layer.bias.data):
                    tensor.normal_(std=0.3)
                for tensor in (layer.running_var, layer.weight.data):
                    tensor.uniform_(0.5, 1.5)
    return net.eval()


def images(num: int = 60, size: int = 10) -> Tensor:
    return torch.randn(num, 3, size, size, generator=make_generator(0, "images"))


class Batches:
    """Batches of the same images for both networks; counts how often they are read."""

    def __init__(self, shown: Tensor, size: int = 20) -> None:
        self.shown, self.size, self.num_reads = shown, size, 0

    def __call__(self) -> Iterator[tuple[Tensor, Tensor]]:
        self.num_reads += 1
        return ((part, part) for part in self.shown.split(self.size))


def started(source: nn.Module, target: nn.Module, method: str = "coherent") -> TransferPlan:
    """Plan a transfer, and load what it gives into the target."""
    recipe = make_recipe(find_method(method), {}, {})
    tensors, state = TensorsInMemory(source.state_dict()), target.state_dict()
    plan = recipe.plan(tensors, graph_of_module(source), state, graph_of_module(target), seed=0)
    target.load_state_dict(dict(execute(plan, tensors, state)))
    return plan


def fitted(
    target: nn.Module, source: nn.Module, plan: TransferPlan, shown: Tensor | Batches, **choices: object
) -> Fitting:
    options = FitOptions.model_validate({"ridge": 1e-9, **choices})
    return fit(
        target,
        source,
        shown if isinstance(shown, Batches) else Batches(shown),
        plan=plan,
        target_graph=graph_of_module(target),
        source_graph=graph_of_module(source),
        options=options,
    )


def with_state(net: nn.Module, fitting: Fitting) -> nn.Module:
    net.load_state_dict({**net.state_dict(), **fitting.state})
    return net


def spoil(net: nn.Module, names: Iterable[str]) -> nn.Module:
    """Replace the weights of some layers by noise."""
    for name in names:
        weight = net.get_submodule(name).weight
        weight.data = torch.randn(weight.shape, generator=make_generator(0, name)) * 0.2
    return net

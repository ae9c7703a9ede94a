"""Tiny networks and plans for what follows the mapping."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.models.graph import graph_of_module


def plain_net() -> nn.Module:
    """Convolutions and linear layers with biases, and no normalisation."""
    torch.manual_seed(0)
    layers = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.Conv2d(6, 8, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(32, 10),
        nn.ReLU(),
        nn.Linear(10, 5),
    )
    return layers.eval().requires_grad_(False)


def norm_net() -> nn.Module:
    """Two normalised convolutions, a grouped and a depthwise one behind them, and a head."""
    torch.manual_seed(1)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, groups=2, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, groups=16, bias=False),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 5),
    )
    return layers.eval().requires_grad_(False)


def images(number: int = 40, size: int = 12) -> Tensor:
    """Images whose brightness differs, as photographs do."""
    generator = torch.Generator().manual_seed(2)
    brightness = torch.randn(number, 1, 1, 1, generator=generator)
    return torch.randn(number, 3, size, size, generator=generator) * 0.7 + brightness


def in_batches(every: Tensor, batch_size: int) -> Callable[[], list[Tensor]]:
    return lambda: list(every.split(batch_size))


def plan_of(module: nn.Module, operations: Mapping[str, str] | None = None) -> TransferPlan:
    """Every tensor mapped by `kernels`, but for those that are named."""
    rows = [
        PlanRow(
            tensor=tensor.name,
            shape=tensor.shape,
            source=tensor.name,
            operation=(operations or {}).get(tensor.name, "kernels"),
            parameters={},
            transferred=1.0,
            reason="made by hand",
        )
        for tensor in graph_of_module(module).tensors()
    ]
    return TransferPlan(tuple(rows))

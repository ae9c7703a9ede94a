"""One direction of a divergence, or both added."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from tlvcli.core.config import Config
from tlvcli.methods.statistics.options import DivergenceOptions


def directed(divergence: Callable[[Tensor, Tensor], Tensor], source: Tensor, target: Tensor, options: Config) -> Tensor:
    """Return D(source || target), D(target || source) or their sum, as `options` ask."""
    assert isinstance(options, DivergenceOptions)
    if options.direction == "source-to-target":
        return divergence(source, target)
    if options.direction == "target-to-source":
        return divergence(target, source)
    return divergence(source, target) + divergence(target, source)

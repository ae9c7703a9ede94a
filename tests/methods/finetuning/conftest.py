"""Networks as strategies see them."""

from __future__ import annotations

from collections.abc import Callable, Set

import pytest

from tlvcli.core.provenance import Architecture
from tlvcli.methods.finetuning.network import Network
from tlvcli.models.builders import build_skeleton
from tlvcli.models.graph import graph_of_module
from tlvcli.pipelines.training.plan import see_network

See = Callable[..., Network]


@pytest.fixture
def see() -> See:
    """Look at an architecture by name, without its weights."""

    def run(name: str, *, fresh: Set[str] = frozenset(), image_size: int = 224) -> Network:
        architecture = Architecture(name=name, num_classes=3)
        module = build_skeleton(architecture)
        return see_network(module, graph_of_module(module), architecture, fresh=fresh, image_size=image_size)

    return run

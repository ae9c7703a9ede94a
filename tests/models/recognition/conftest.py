from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import pytest

from tlvcli.core.graph import TensorSpec
from tlvcli.models.recognition.make import build_shapes

Shapes = dict[str, tuple[int, ...]]
ShapesOf = Callable[[str, int, int], Shapes]


@pytest.fixture(scope="session")
def shapes_of() -> ShapesOf:
    """Names and shapes that a builder makes for so many classes and channels; each is built once."""
    return cache(lambda name, num_classes, in_chans: build_shapes(name, num_classes=num_classes, in_chans=in_chans))


def specs_of(shapes: Mapping[str, tuple[int, ...]], prefix: str = "") -> list[TensorSpec]:
    return [TensorSpec(prefix + name, shape, "float32") for name, shape in shapes.items()]

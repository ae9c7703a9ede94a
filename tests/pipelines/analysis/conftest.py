"""A small network and small sets of images, one of which differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

NETWORK = """
from torch import nn


def make(num_classes=2, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 12, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, num_classes),
    )

"""

Pictures = Callable[..., str]


@pytest.fixture
def network(tmp_path: Path) -> str:
    """`FILE.py:make@random`: two convolutions, the first with batch normalisation, and a head."""
    path = tmp_path / "network.py"
    path.write_text(NETWORK)
    return f"{path}:make@random"


@pytest.fixture
def pictures(tmp_path: Path) -> Pictures:
    """Write noise: `name` of the folder, how many, `brightness` added, `classes` or none for a flat folder."""

    def write(name: str, count: int, *, brightness: int = 0, classes: int = 0, seed: int = 0) -> str:
        noise = np.random.default_rng([seed, len(name), *name.encode()])
        for number in range(count):
            folder = tmp_path / name / f"class{number % classes}" if classes else tmp_path / name
            folder.mkdir(parents=True, exist_ok=True)
            level = noise.integers(40, 120)
            pixels = (noise.normal(level + brightness, 30, (16, 16, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03}.png")
        return str(tmp_path / name)

    return write

from __future__ import annotations

from pathlib import Path

import pytest

_NETWORK = """
from torch import nn


def make(num_classes, in_chans=3):
    return nn.Sequential(
        nn.Conv2d(in_chans, 16, 3, stride=2, padding=1), nn.BatchNorm2d(16), nn.ReLU(),
        nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.BatchNorm2d(32), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Dropout(0.1), nn.Linear(128, num_classes),
    )

"""


@pytest.fixture
def small_network(tmp_path: Path) -> str:
    """An architecture that learns digits in seconds: `FILE.py:make`, with batch normalisation and dropout."""
    path = tmp_path / "network.py"
    path.write_text(_NETWORK)
    return f"{path}:make"

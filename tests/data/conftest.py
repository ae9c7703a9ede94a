from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

WriteClasses = Callable[[Path, dict[str, int]], Path]


@pytest.fixture
def write_classes() -> WriteClasses:
    """Returns a function that fills a folder with noise: so many 20 x 16 PNG files per class."""

    def write(folder: Path, counts: dict[str, int]) -> Path:
        noise = np.random.default_rng(0)
        for class_name, count in counts.items():
            (folder / class_name).mkdir(parents=True)
            for number in range(count):
                pixels = noise.integers(0, 256, (16, 20, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(folder / class_name / f"{number:03d}.png")
        return folder

    return write

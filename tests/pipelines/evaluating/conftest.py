from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from tests.pipelines.conftest import _NETWORK as NETWORK
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing
from tlvcli.models.builders import build
from tlvcli.pipelines.saving import save_module

PREPROCESSING = Preprocessing(image_size=16, resize_size=16, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4))
Save = Callable[..., str]
Write = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a network that was never trained, but answers differently by image; returns the file."""
    (tmp_path / "network.py").write_text(NETWORK)

    def write(
        file: str, class_names: tuple[str, ...], *, seed: int = 0, preprocessing: Preprocessing = PREPROCESSING
    ) -> str:
        architecture = Architecture(
            name=f"{tmp_path}/network.py:make", num_classes=len(class_names), in_chans=preprocessing.channels
        )
        module: Any = build(architecture, seed=seed)
        with torch.no_grad():
            module[-1].weight *= 30
        path = tmp_path / f"{file}.safetensors"
        save_module(
            module,
            path,
            architecture=architecture,
            made_by=MadeBy(command="train", method="full", tlv_version="0"),
            class_names=class_names,
            preprocessing=preprocessing,
            force=False,
        )
        return str(path)

    return write


@pytest.fixture
def photos(tmp_path: Path) -> Write:
    """Write noise of various shades into class folders, in colour or grey; returns the folder."""

    def write(name: str, class_names: tuple[str, ...], *, images: int = 4, grey: bool = False) -> str:
        noise, folder = np.random.default_rng(0), tmp_path / name
        for class_name in class_names:
            (folder / class_name).mkdir(parents=True)
            for number in range(images):
                tops = noise.integers(8, 256, 1 if grey else 3)
                pixels = (noise.random((20, 20, len(tops))) * tops).astype(np.uint8)
                Image.fromarray(pixels[:, :, 0] if grey else pixels).save(folder / class_name / f"{number}.png")
        return str(folder)

    return write

"""Shared material: what the authors' code computes, and the real data where it is present."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is cached away from the user's folder, and let the architectures that tests write run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TLV_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TLV_TRUST_ARCHITECTURES", "1")
        yield


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    """`golden.json`: what the authors' code computes (see the README beside it)."""
    return json.loads((GOLDEN / "golden.json").read_text())


@pytest.fixture(scope="session")
def golden_tensors() -> dict[str, torch.Tensor]:
    """Inputs and outputs of the authors' variance mapping, tensor by tensor."""
    return load_file(GOLDEN / "tlv_mapping.safetensors")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real data and checkpoints, or a skip that says where it was looked for."""
    beside = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("TLV_DATA", beside))
    if not (folder / "checkpoints").is_dir():
        pytest.skip("no real data: neither ../shared/data nor the folder named by TLV_DATA holds checkpoints")
    return folder

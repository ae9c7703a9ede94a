"""Hub weights: found in the torch hub cache without network, and clear words when they are not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tlvcli.core.errors import TlvError
from tlvcli.models.hub import fetch_hub_weights


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def test_found_in_the_cache(cache: Path) -> None:
    path = cache / "squeezenet1_1-b8a52dc0.pth"
    path.write_bytes(b"anything: opening is another matter")
    weights = fetch_hub_weights("squeezenet1_1", "IMAGENET1K_V1", offline=True)
    assert weights.path == path
    assert weights.num_classes == 1000
    assert weights.class_names is not None
    assert weights.class_names[0] == "tench"
    assert (weights.preprocessing.image_size, weights.preprocessing.resize_size) == (224, 256)
    assert weights.preprocessing.mean == (0.485, 0.456, 0.406)
    assert fetch_hub_weights("squeezenet1_1", "DEFAULT", offline=True).path == path


def test_offline_without_the_file(cache: Path) -> None:
    with pytest.raises(TlvError, match="not in the torch hub cache") as caught:
        fetch_hub_weights("squeezenet1_1", "DEFAULT", offline=True)
    assert caught.value.error_id == "offline"
    assert not list(cache.iterdir())


def test_a_download_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    monkeypatch.setattr("torch.hub.urlopen", fail)
    with pytest.raises(TlvError, match="no route to host") as caught:
        fetch_hub_weights("squeezenet1_1", "DEFAULT", offline=False)
    assert caught.value.error_id == "download-failed"
    assert not list(cache.iterdir())


def test_unknown_weights(cache: Path) -> None:
    with pytest.raises(TlvError, match="no weights IMAGENET1K_V9") as caught:
        fetch_hub_weights("squeezenet1_1", "IMAGENET1K_V9", offline=True)
    assert "IMAGENET1K_V1" in caught.value.hint

"""`ARCH@WEIGHTS`: pretrained weights of torchvision and timm, by name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tlvcli.core.errors import TlvError, did_you_mean
from tlvcli.core.provenance import Preprocessing
from tlvcli.models.builders import classifier_names
from tlvcli.models.names import unknown_in_torchvision


@dataclass(frozen=True)
class HubWeights:
    """Where published weights lie on this machine, and what their publisher says of them."""

    path: Path
    num_classes: int
    class_names: tuple[str, ...] | None
    preprocessing: Preprocessing


def fetch_hub_weights(arch: str, weights: str, *, offline: bool) -> HubWeights:
    """Find the weights in the torch hub cache, or download them there unless `offline`.

    Raises:
        TlvError: `architecture-unknown`, `weights-unknown`, `offline` or `download-failed`.
    """
    import torch
    import torchvision

    known = classifier_names()
    if arch not in known:
        raise unknown_in_torchvision(arch, known)
    entries = torchvision.models.get_model_weights(arch)
    if weights not in entries.__members__:
        raise TlvError(
            "weights-unknown",
            f"torchvision has no weights {weights} for {arch}",
            did_you_mean(weights, [*entries.__members__, "random"]),
        )
    entry = entries[weights]
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(entry.url).name
    if not path.is_file():
        if offline:
            raise TlvError(
                "offline",
                f"{arch}@{weights} is not in the torch hub cache ({path})",
                "run once without --offline, or copy the file there (TORCH_HOME moves the cache)",
            )
        _download(entry.url, path, f"{arch}@{weights}")
    categories = entry.meta.get("categories")
    return HubWeights(
        path=path,
        num_classes=len(categories) if categories else 1000,
        class_names=tuple(categories) if categories else None,
        preprocessing=_preprocessing(entry.transforms()),
    )


def _download(url: str, path: Path, name: str) -> None:
    import torch

    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        # Written to a temporary sibling and checked against the hash in the file's name before it is renamed.
        torch.hub.download_url_to_file(url, str(path), hash_prefix=_hash_prefix(path), progress=False)
    except (OSError, RuntimeError) as error:
        raise TlvError(
            "download-failed",
            f"cannot download {name}: {error}",
            f"check the network, or copy {path.name} to {path.parent} by hand",
        ) from error


def _hash_prefix(path: Path) -> str | None:
    prefix = path.stem.rpartition("-")[2]
    is_hash = len(prefix) >= 8 and set(prefix) <= set("0123456789abcdef")
    return prefix if is_hash else None


def _preprocessing(transforms: Any) -> Preprocessing:
    return Preprocessing(
        image_size=transforms.crop_size[0],
        resize_size=transforms.resize_size[0],
        mean=tuple(transforms.mean),
        std=tuple(transforms.std),
        interpolation=transforms.interpolation.value,
    )

"""A network that is only looked at: opened, built, in eval mode on the device, and how its images are prepared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module, open_reference
from tlvcli.pipelines.image_input import choose_preprocessing, refuse_image_size

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Network:
    """A checkpoint as a module; `has_head` is False where the file lacks the classifier, and a random one is in place.

    `warnings` are those of opening it, and one where its images are prepared as is usual for the data.
    """

    opened: OpenedCheckpoint
    module: nn.Module
    architecture: Architecture
    preprocessing: Preprocessing
    has_head: bool
    warnings: tuple[str, ...]


def open_networks(config: AnalyzeStatsConfig, dataset: ImageDataset, device: torch.device) -> tuple[Network, ...]:
    """Return the checkpoint and those it is held against, in the order of the command line.

    Raises:
        TlvError: whatever is wrong with a file, its architecture or the size of the images.
    """
    return tuple(_open(config, dataset, device, *named) for named in named_networks(config))


def named_networks(config: AnalyzeStatsConfig) -> Iterator[tuple[str, str, str | None, str | None]]:
    """Yield reference, role, architecture and key of every checkpoint, in the order of the command line."""
    yield config.checkpoint, "checkpoint", config.arch, config.key
    yield from ((reference, "against", config.against_arch, None) for reference in config.against)


def _open(
    config: AnalyzeStatsConfig,
    dataset: ImageDataset,
    device: torch.device,
    reference: str,
    role: str,
    arch: str | None,
    key: str | None,
) -> Network:
    opened = open_reference(reference, role=role, key=key, arch=arch, offline=config.offline, seed=config.seed)
    has_head = not lacks_head(opened)
    old = opened.architecture
    # Another number of classes than the file's leaves its head out, which is not there.
    num_classes = old.num_classes + 1 if old and not has_head else None
    module, architecture, _ = load_module(opened, num_classes=num_classes, seed=config.seed)
    preprocessing, is_stored = choose_preprocessing(opened.preprocessing, architecture, dataset, config.image_size)
    warnings = list(opened.warnings)
    if not is_stored:
        size = preprocessing.image_size
        warnings.append(
            f"{reference} does not say how its images were prepared: took what is usual for the data, {size} px"
        )
    module.to(device).eval()
    refuse_image_size(module, architecture, preprocessing, training=False)
    return Network(opened, module, architecture, preprocessing, has_head, tuple(warnings))


def lacks_head(opened: OpenedCheckpoint) -> bool:
    """Return whether the classifier, and nothing but it, is missing: then its features can still be looked at."""
    from tlvcli.models.head import head_tensors

    if opened.file is None or opened.architecture is None:
        return False
    head = head_tensors(opened.architecture)
    return bool(head) and not head.intersection(spec.name for spec in opened.tensors.specs)

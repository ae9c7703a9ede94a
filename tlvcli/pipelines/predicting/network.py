"""The network of `tlv predict`: opened, built, in eval mode on the device, and how its images are prepared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.pipelines.analysis.networks import lacks_head
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module, open_reference
from tlvcli.pipelines.image_input import choose_preprocessing, refuse_image_size
from tlvcli.pipelines.layout import lay_out_fast
from tlvcli.pipelines.precision import Precision, autocast_to, choose_precision
from tlvcli.pipelines.predicting.config import PredictConfig
from tlvcli.pipelines.predicting.labels import choose_labels
from tlvcli.pipelines.predicting.result import LabelSource
from tlvcli.pipelines.preparation import enlargement, prepared_as_told

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class PredictingNetwork:
    """A checkpoint as a module; `labels` name its outputs, `warnings` say what was taken for granted."""

    opened: OpenedCheckpoint
    module: nn.Module
    architecture: Architecture
    preprocessing: Preprocessing
    precision: Precision
    device: torch.device
    labels: tuple[str, ...]
    labels_from: LabelSource
    warnings: tuple[str, ...]

    @property
    def autocast(self) -> torch.autocast:
        """The context for forward passes."""
        return autocast_to(self.precision, self.device)


def open_network(config: PredictConfig, dataset: ImageDataset, device: torch.device) -> PredictingNetwork:
    """Open the checkpoint and load it; for features alone, a file without its classifier will do.

    Raises:
        TlvError: whatever is wrong with the file, its architecture or the size of the images.
    """
    precision = choose_precision(config.precision, device)
    opened = open_reference(
        config.checkpoint,
        role="checkpoint",
        key=config.key,
        arch=config.arch,
        offline=config.offline,
        seed=config.seed,
    )
    old = opened.architecture
    # Another number of classes than the file's leaves its head out, which is not there.
    num_classes = old.num_classes + 1 if config.features and old and lacks_head(opened) else None
    module, architecture, _ = load_module(opened, num_classes=num_classes, seed=config.seed)
    chosen, is_stored = choose_preprocessing(opened.preprocessing, architecture, dataset, config.image_size)
    preprocessing = prepared_as_told(chosen, config)
    labels, labels_from = choose_labels(opened.class_names, architecture.num_classes)
    warnings = [*opened.warnings, *dataset.warnings]
    if not is_stored and not (config.mean and config.std):
        prepared = f"resized to {preprocessing.resize_size}, cropped to {preprocessing.image_size} px"
        small = enlargement(preprocessing, dataset) if config.image_size is None else ""
        warnings.append(f"the checkpoint does not say how its images were prepared: {prepared}, as is usual{small}")
    if labels_from == "imagenet" and not config.features:
        warnings.append("the checkpoint does not name its classes: 1,000 of them were taken for ImageNet's")
    if labels_from == "index" and not config.features:
        warnings.append("the checkpoint does not name its classes: labels are the numbers of its outputs")
    module.to(device).eval()
    refuse_image_size(module, architecture, preprocessing, training=False)
    lay_out_fast(module, preprocessing, device)
    return PredictingNetwork(
        opened, module, architecture, preprocessing, precision, device, labels, labels_from, tuple(warnings)
    )

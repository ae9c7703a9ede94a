"""`tlv predict --features`: what the classifier gets of each image, in a file of its own."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.file_names import as_text
from tlvcli.core.report import OutputInfo
from tlvcli.core.wording import counted
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.partial_batches import PartialBatch
from tlvcli.io.named_rows import write_named_rows
from tlvcli.models.classifier_features import classifier_features
from tlvcli.pipelines.predicting.answers import outputs_not_finite
from tlvcli.pipelines.predicting.config import PredictConfig
from tlvcli.pipelines.predicting.network import PredictingNetwork
from tlvcli.pipelines.predicting.result import FeaturesWritten
from tlvcli.pipelines.predicting.tally import Tally

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = "tlv.features/1"


def write_features(
    config: PredictConfig,
    network: PredictingNetwork,
    dataset: ImageDataset,
    batches: Iterable[PartialBatch],
    tally: Tally,
) -> tuple[FeaturesWritten, OutputInfo]:
    """Write features [images, dimensions] float32 and the paths of the images that can be read, batch by batch.

    Raises:
        TlvError: `images-unreadable` where none can be; `outputs-not-finite`; `output-not-writable` or `no-space`.
    """
    assert config.features is not None
    computed = _compute(network, dataset, batches, tally)
    first = next(computed, None)
    if first is None:
        raise TlvError(
            "images-unreadable",
            f"none of {counted(len(dataset), 'image')} can be read, as {as_text(dataset.where(0))}",
            "look at that one; a list names one file to a line",
        )
    output = write_named_rows(
        Path(config.features),
        ((part.values, part.paths) for part in chain((first,), computed)),
        role="features",
        candidates=[dataset.where(position) for position in range(len(dataset))],
        metadata=_metadata(network),
        force=config.force,
    )
    images = len(dataset) - len(tally.unreadable)
    return FeaturesWritten(images=images, dimensions=first.values.shape[1], before=first.before), output


@dataclass(frozen=True)
class _Part:
    """Features [n, dimensions] float32 on the CPU, their paths, and the classifier that gets them."""

    values: Tensor
    paths: list[str]
    before: str | None


def _compute(
    network: PredictingNetwork, dataset: ImageDataset, batches: Iterable[PartialBatch], tally: Tally
) -> Iterator[_Part]:
    import torch

    for batch in batches:
        for position, error in batch.unreadable.items():
            tally.fail(as_text(dataset.where(position)), as_text(error))
        if batch.images is None:
            continue
        with torch.inference_mode(), network.autocast:
            found = classifier_features(network.module, batch.images, num_classes=network.architecture.num_classes)
        values = found.values.float().cpu()
        paths = [dataset.where(position) for position in batch.positions if position not in batch.unreadable]
        broken = (~values.isfinite()).any(dim=1)
        if broken.any():
            raise outputs_not_finite(network, paths[int(broken.nonzero()[0])])
        yield _Part(values, paths, found.classifier)


def _metadata(network: PredictingNetwork) -> dict[str, str]:
    """Return what the file says of itself: whose features these are, of images prepared how."""
    info = network.opened.info
    made = {
        "format": FORMAT,
        "tlv_version": __version__,
        "checkpoint": {"name": Path(info.path).name, "sha256": info.sha256},
        "architecture": network.architecture.model_dump(exclude_none=True),
        "preprocessing": network.preprocessing.model_dump(),
        "precision": network.precision,
    }
    return {"format": "pt", "tlv.features": json.dumps(made, sort_keys=True)}

"""The checkpoints of one evaluation: opened, built, with their classes matched and their images' preparation known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tlvcli.core.provenance import Architecture, Preprocessing
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.pipelines.checkpoints import OpenedCheckpoint, load_module, open_reference
from tlvcli.pipelines.evaluating.classes import ClassMap, MatchedClasses, match_classes
from tlvcli.pipelines.evaluating.config import EvalConfig
from tlvcli.pipelines.first_look import look_at_checkpoint
from tlvcli.pipelines.image_input import choose_preprocessing, refuse_image_size
from tlvcli.pipelines.layout import lay_out_fast
from tlvcli.pipelines.preparation import enlargement, prepared_as_told

if TYPE_CHECKING:
    import torch
    from torch import nn


@dataclass(frozen=True)
class Contender:
    """A checkpoint as a module on the device; `warnings` are those of opening, matching and preparing."""

    reference: str
    opened: OpenedCheckpoint
    module: nn.Module
    architecture: Architecture
    preprocessing: Preprocessing
    classes: MatchedClasses
    warnings: tuple[str, ...]


def open_checkpoints(config: EvalConfig) -> tuple[OpenedCheckpoint, ...]:
    """Open the checkpoint and those of --against, in the order of the command line.

    Raises:
        TlvError: whatever is wrong with a file or a name.
    """
    return tuple(
        open_reference(reference, role=role, key=key, arch=arch, offline=config.offline, seed=config.seed)
        for reference, role, key, arch in _named(config)
    )


def look_at_checkpoints(config: EvalConfig) -> None:
    """Raise at once what shows of the same checkpoints without torch."""
    for reference, _, _, arch in _named(config):
        look_at_checkpoint(reference, arch)


def _named(config: EvalConfig) -> Iterator[tuple[str, str, str | None, str | None]]:
    yield config.checkpoint, "checkpoint", config.key, config.arch
    yield from ((reference, "against", None, config.against_arch) for reference in config.against)


def build_contender(
    config: EvalConfig,
    opened: OpenedCheckpoint,
    dataset: ImageDataset,
    class_map: ClassMap | None,
    device: torch.device,
) -> Contender:
    """Build one network and say how it and the data fit.

    Raises:
        TlvError: where they do not: classes, channels, the size of the images; or the file and its architecture.
    """
    module, architecture, _ = load_module(opened, num_classes=None, seed=config.seed)
    classes = match_classes(opened.class_names, architecture.num_classes, dataset.class_names, dataset.name, class_map)
    chosen, stored = choose_preprocessing(opened.preprocessing, architecture, dataset, config.image_size)
    preprocessing = prepared_as_told(chosen, config)
    warnings = [*opened.warnings, *classes.warnings]
    if not stored and not (config.mean and config.std):
        small = enlargement(preprocessing, dataset) if config.image_size is None else ""
        took = _words(preprocessing) + small
        warnings.append(f"the checkpoint does not say how its images were prepared: took {took}")
    module.to(device)
    refuse_image_size(module, architecture, preprocessing, training=False)
    lay_out_fast(module, preprocessing, device)
    told = tuple(f"{opened.reference}: {warning}" if config.against else warning for warning in warnings)
    return Contender(opened.reference, opened, module, architecture, preprocessing, classes, told)


def grouped_by_preparation(contenders: Sequence[Contender]) -> Iterable[tuple[Preprocessing, tuple[Contender, ...]]]:
    """Return those that see the same images together, the first one's group first."""
    groups: dict[Preprocessing, tuple[Contender, ...]] = {}
    for contender in contenders:
        groups[contender.preprocessing] = (*groups.get(contender.preprocessing, ()), contender)
    return groups.items()


def _words(preprocessing: Preprocessing) -> str:
    mean = ", ".join(f"{value:g}" for value in preprocessing.mean)
    return f"what is usual for the data, {preprocessing.image_size} px less a mean of {mean}"

"""`tlv analyze-stats --score`: which checkpoint is worth fine-tuning for labelled images, without training any."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.report import OutputInfo
from tlvcli.core.runtime import choose_device
from tlvcli.core.wording import counted
from tlvcli.data.datasets import open_evaluation_data
from tlvcli.data.image_dataset import ImageDataset
from tlvcli.data.loading import choose_workers, evaluation_batches, num_batches
from tlvcli.data.reference import parse_data_reference
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.csv_files import Cell, write_csv
from tlvcli.methods.scores.table import Score, find_score
from tlvcli.models.classifier_features import Features, classifier_features
from tlvcli.pipelines.analysis.config import AnalyzeStatsConfig
from tlvcli.pipelines.analysis.images import describe_images
from tlvcli.pipelines.analysis.networks import Network, open_networks
from tlvcli.pipelines.analysis.outcome import Outcome
from tlvcli.pipelines.analysis.scores_result import ScoredCheckpoint, ScoresSection, ranks_of
from tlvcli.pipelines.image_input import may_download
from tlvcli.pipelines.outputs import refuse_inputs
from tlvcli.pipelines.progress import Progress

if TYPE_CHECKING:
    import torch
    from torch import Tensor

_FEWEST_CLASSES = 2


def run_scores(config: AnalyzeStatsConfig, progress: Progress) -> Outcome[ScoresSection]:
    """Score the checkpoint and those it is held against on one labelled data set, and rank them.

    Raises:
        TlvError: `score-unknown`, `classifier-missing`, `data-class-empty`, or what is wrong with the inputs.
    """
    assert config.data is not None
    scores = tuple(find_score(name) for name in dict.fromkeys(config.score))
    if config.csv:
        refuse_inputs([Path(config.csv)], [Path(config.checkpoint), *map(Path, config.against)])
        refuse_existing(Path(config.csv), force=config.force)  # before the work, not after it
    device = choose_device(config.device)
    dataset = open_evaluation_data(
        parse_data_reference(config.data),
        data_seed=config.data_seed,
        download=may_download(download=config.download, offline=config.offline),
    )
    _refuse_missing_classes(config.data, dataset)
    networks = open_networks(config, dataset, device)
    for network in networks:
        _refuse_classifier(network, scores)
    seen = [_look(config, network, dataset, device, progress) for network in networks]
    values = [_score(network, features, dataset, scores) for network, features in zip(networks, seen, strict=True)]
    section = ScoresSection(
        split=dataset.split,
        images=len(dataset),
        classes=len(set(dataset.labels)),
        scores=[score.name for score in scores],
        checkpoints=[
            ScoredCheckpoint(
                checkpoint=network.opened.reference,
                architecture=network.opened.architecture or network.architecture,
                preprocessing=network.preprocessing,
                features_before=features.classifier,
                dimensions=features.values.shape[1],
                bytes=features.values.nbytes,
                scores=found,
                ranks=ranks,
            )
            for network, features, found, ranks in zip(networks, seen, values, ranks_of(values), strict=True)
        ],
    )
    return Outcome(
        section=section,
        inputs=(*(network.opened.info for network in networks), describe_images(dataset, config.data, "data")),
        device=device,
        outputs=_write_outputs(config, section),
        warnings=(
            *dataset.warnings,
            *(warning for network in networks for warning in network.warnings),
            *_warnings(networks, section),
        ),
    )


def _look(
    config: AnalyzeStatsConfig, network: Network, dataset: ImageDataset, device: torch.device, progress: Progress
) -> Features:
    """Return features and outputs of all images, float32 on the CPU: the only pass over the data."""
    import torch

    name = network.architecture.name
    progress.start(num_batches(len(dataset), config.batch_size), f"features {name} {dataset.name} {dataset.split}")
    batches = evaluation_batches(
        dataset,
        network.preprocessing,
        batch_size=config.batch_size,
        workers=choose_workers(dataset, config.workers, device),
        device=device,
    )
    seen = []
    with closing(batches), torch.inference_mode():
        for batch in batches:
            found = classifier_features(network.module, batch.images, num_classes=network.architecture.num_classes)
            seen.append(Features(found.values.float().cpu(), found.outputs.float().cpu(), found.classifier))
            progress.advance()
    values = torch.cat([features.values for features in seen])
    _refuse_useless(network, values)
    return Features(values, torch.cat([features.outputs for features in seen]), seen[0].classifier)


def _score(network: Network, features: Features, dataset: ImageDataset, scores: Sequence[Score]) -> dict[str, float]:
    import torch

    labels = torch.tensor(dataset.labels)
    values = {}
    for score in scores:
        values[score.name] = score.load_function()(_needed(network, features, score), labels)
        if not math.isfinite(values[score.name]):
            raise TlvError(
                "score-undefined",
                f"{network.opened.reference}: {score.name} is {values[score.name]} on these images",
                "take more images, or another score",
            )
    return values


def _needed(network: Network, features: Features, score: Score) -> Tensor:
    """Return what a score is computed from, in double precision: logarithms of determinants need its digits."""
    if score.needs == "features":
        return features.values.double()
    if features.classifier is None:
        raise _classifier_missing(network, score)
    return features.outputs.double().softmax(dim=1)


def _refuse_classifier(network: Network, scores: Sequence[Score]) -> None:
    """Raise before the work where a score needs the old classes, and what gives them is missing or random."""
    asked = [score for score in scores if score.needs == "probabilities"]
    if asked and not network.has_head:
        raise _classifier_missing(network, asked[0])
    if asked and network.opened.file is None:
        raise TlvError(
            "classifier-random",
            f"{asked[0].name}: the classifier of {network.opened.reference} is random, its classes mean nothing",
            "take pretrained weights, or a score of the features: logme, hscore, transrate",
        )


def _classifier_missing(network: Network, score: Score) -> TlvError:
    return TlvError(
        "classifier-missing",
        f"{score.name} needs the probabilities of the old classes; {network.opened.reference} has no classifier",
        "take a score of the features: logme, hscore, hscore-regularised, transrate",
    )


def _refuse_missing_classes(reference: str, dataset: ImageDataset) -> None:
    present = set(dataset.labels)
    missing = [name for label, name in enumerate(dataset.class_names) if label not in present]
    if missing:
        more = f" and {len(missing) - 3} more classes" if len(missing) > 3 else ""
        raise TlvError(
            "data-class-empty",
            f"{reference}: no image of {', '.join(missing[:3])}{more}, so no score of all classes",
            "add images, take a larger sample, or take the class folder out",
        )
    assert len(present) >= _FEWEST_CLASSES, "open_dataset refuses a single class"


def _refuse_useless(network: Network, values: Tensor) -> None:
    if not values.isfinite().all():
        raise TlvError(
            "activations-not-finite",
            f"{network.opened.reference}: NaN or infinite features",
            "tlv inspect --stats shows whether the weights are finite",
        )
    if (values == values[:1]).all():
        raise TlvError(
            "features-constant",
            f"{network.opened.reference} gives the same features for {counted(len(values), 'image')}",
            "tlv inspect --stats shows dead layers; check the preprocessing and --image-size",
        )


def _warnings(networks: Sequence[Network], section: ScoresSection) -> Iterator[str]:
    needs_classes = any(find_score(name).needs == "probabilities" for name in section.scores)
    for network, scored in zip(networks, section.checkpoints, strict=True):
        if not network.has_head:
            yield f"{scored.checkpoint} has no classifier: its features are what a new one would get"
        provenance = network.opened.file.provenance if network.opened.file else None
        if needs_classes and provenance and provenance.made_by.command == "transfer":
            yield f"{scored.checkpoint} was not trained after tlv transfer: its classifier may be random in part"
        if section.images <= scored.dimensions and "hscore" in section.scores:
            yield (
                f"{scored.checkpoint}: {section.images} images for {scored.dimensions} dimensions: hscore is near its "
                "largest value for any features; hscore-regularised is not"
            )


def _write_outputs(config: AnalyzeStatsConfig, section: ScoresSection) -> tuple[OutputInfo, ...]:
    if not config.csv:
        return ()
    head = ["checkpoint", "architecture", "dimensions", *section.scores, *(f"{name} rank" for name in section.scores)]
    rows: Iterator[list[Cell]] = (
        [one.checkpoint, one.architecture.name, one.dimensions, *one.scores.values(), *one.ranks.values()]
        for one in section.checkpoints
    )
    return (write_csv(Path(config.csv), head, rows, force=config.force),)

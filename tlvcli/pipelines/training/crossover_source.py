"""The source network of feature crossover: opened, frozen, and given the target's images as it knows them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import Ancestor, Architecture, Preprocessing
from tlvcli.core.report import InputInfo
from tlvcli.core.runtime import make_generator
from tlvcli.methods.finetuning.crossover import crossing
from tlvcli.models.pooled_features import ClassifierInput, find_classifier_input, pooled_features
from tlvcli.pipelines.checkpoints import load_module, open_reference
from tlvcli.pipelines.image_views import view_images
from tlvcli.pipelines.training.config import TrainConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

# In pixels, of a source that says nothing of its images: that of most networks.
_USUAL_SIZE = 224


@dataclass(frozen=True)
class CrossoverSource:
    """What crosses into a network in training, and where.

    Args:
        classifier: where the target's classifier takes its input.
        features: the target's images [n, channels, h, w] -> the source's pooled features [n, D_source].
        p: probability that a feature is the source's.
        info: the report's entry for the source.
        ancestor: what a checkpoint made with it says of it.
        message: how many features can cross, in words.
        warnings: what is not known of the source.
    """

    classifier: ClassifierInput
    features: Callable[[Tensor], Tensor]
    p: float
    info: InputInfo
    ancestor: Ancestor | None
    message: str
    warnings: tuple[str, ...]


def open_crossover(
    config: TrainConfig,
    module: nn.Module,
    architecture: Architecture,
    preprocessing: Preprocessing,
    device: torch.device,
) -> CrossoverSource:
    """Open the source that `config.crossover` names, for the target `module`; `config` is resolved.

    The source sees the target's images at the target's size, as the authors have it; where it takes only its own,
    they are resized. Their normalisation is changed into the source's.

    Raises:
        TlvError: `crossover-unsupported` where either network has no pooled features, or what is wrong with the file.
    """
    assert config.crossover is not None, "there is a source to open"
    assert config.crossover_p is not None, "the settings are resolved"
    size = preprocessing.image_size
    classifier = find_classifier_input(module, architecture, size)
    if classifier is None:
        raise _unsupported(architecture.name, "train it without --crossover")
    opened = open_reference(
        config.crossover, role="crossover", key=None, arch=None, offline=config.offline, seed=config.seed
    )
    if opened.architecture is None:
        raise TlvError(
            "crossover-unsupported",
            f"{config.crossover} does not say which architecture it is",
            "tlv convert CHECKPOINT OUT.safetensors --arch NAME writes one that does",
        )
    source, source_architecture, _ = load_module(opened, num_classes=None, seed=config.seed)
    known = opened.preprocessing
    # Its own size comes second: images of 32 px, enlarged to 224, would cost it fifty times as much.
    sizes = (size, known.image_size if known else _USUAL_SIZE)
    places = ((side, find_classifier_input(source, source_architecture, side)) for side in sizes)
    image_size, place = next(((side, found) for side, found in places if found), (size, None))
    if place is None:
        raise _unsupported(f"{config.crossover} ({source_architecture.name})", "take another source checkpoint")
    source.eval().requires_grad_(False).to(device)
    adapt = partial(
        view_images,
        here=preprocessing,
        there=known,
        channels=source_architecture.in_chans,
        image_size=image_size,
    )
    num_crossing = min(classifier.num_features, place.num_features)
    return CrossoverSource(
        classifier=classifier,
        features=lambda images: pooled_features(source, place, adapt(images)),
        p=config.crossover_p,
        info=opened.info,
        ancestor=opened.ancestor,
        message=f"crossover: {num_crossing} of {classifier.num_features} features can be those of "
        f"{source_architecture.name}, each with probability {config.crossover_p:g} in a batch",
        warnings=() if known else (f"{config.crossover} does not say how its images were normalised: as the target's",),
    )


def crossing_by_batch(
    source: CrossoverSource, module: nn.Module, seed: int
) -> Callable[[int, int], AbstractContextManager[None]]:
    """Return (epoch, number of the batch) -> the context in which `module` computes it; each has a mask of its own."""

    def open_one(epoch: int, number: int) -> AbstractContextManager[None]:
        generator = make_generator(seed, "crossover", epoch, number)
        return crossing(module, source.classifier, source.features, source.p, generator)

    return open_one


def _unsupported(name: str, hint: str) -> TlvError:
    return TlvError("crossover-unsupported", f"{name} has no classifier with pooled features before it", hint)

"""What is wrong with a checkpoint's or a data set's name and shows at a glance, before torch takes its seconds."""

from __future__ import annotations

from pathlib import Path

from tlvcli.data.datasets import evaluation_split, training_split
from tlvcli.data.reference import DataReference, parse_data_reference
from tlvcli.data.torchvision_images import refuse_missing_root
from tlvcli.io.formats import recognise_format
from tlvcli.models.names import refuse_unknown
from tlvcli.pipelines.checkpoints import named_weights, refuse_bare_architecture


def look_at_checkpoint(reference: str, arch: str | None = None) -> None:
    """Raise what `open_reference` would of a file that is none, or of an architecture that nobody has.

    Raises:
        TlvError: `checkpoint-*`, `architecture-unknown` or `extra-missing`.
    """
    named = named_weights(reference)
    for word in (arch, named[0] if named else None):
        if word is not None:
            refuse_unknown(word)
    if named is None:
        refuse_bare_architecture(reference)
        recognise_format(Path(reference))


def look_at_training_data(text: str, *, download: bool) -> None:
    """Raise where a DATA argument names nothing, or nothing to train on; no image is looked for."""
    training_split(_look_at_reference(text, download=download))


def look_at_images(text: str, *, download: bool) -> None:
    """Raise where a DATA argument names nothing, or a split that is not there; no image is looked for."""
    evaluation_split(_look_at_reference(text, download=download))


def _look_at_reference(text: str, *, download: bool) -> DataReference:
    reference = parse_data_reference(text)
    if reference.kind == "torchvision" and reference.root is not None:
        refuse_missing_root(reference.name, reference.root, download=download)
    return reference

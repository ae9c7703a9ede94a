"""The architecture, with its arguments and the order of its tensors, that a checkpoint loads into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture
from tlvcli.models.recognition.catalogue import templates_of
from tlvcli.models.recognition.fingerprint import take_fingerprints
from tlvcli.models.recognition.index import load_index
from tlvcli.models.recognition.match import find_matches


@dataclass(frozen=True)
class Recognised:
    """An architecture whose tensors have exactly these names and shapes, and the order of its state_dict."""

    architecture: Architecture
    tensor_order: tuple[str, ...]


def recognise(specs: Sequence[TensorSpec]) -> Recognised | None:
    """Return the torchvision classifier that `specs` fit, whatever its classes and input channels, or None.

    Not timm's, where networks that compute different things have the same tensors.
    """
    found = take_fingerprints({spec.name: spec.shape for spec in specs})
    whole = [match for match in find_matches(found, load_index("torchvision")) if match.num_deviations == 0]
    if len(whole) != 1 or len(whole[0].names) != 1:
        return None
    match = whole[0]
    num_classes, in_chans = match.size("head"), match.size("stem")
    order = tuple(templates_of(match.names[0]))
    present = {spec.name for spec in specs}
    if not num_classes or not in_chans or not present.issubset(order):
        return None
    architecture = Architecture(name=match.names[0], num_classes=num_classes, in_chans=in_chans)
    return Recognised(architecture, tuple(tensor for tensor in order if tensor in present))


def fit_arguments(name: str, specs: Sequence[TensorSpec]) -> Architecture:
    """Return architecture `name` with the classes that the head's shape says, and the channels of the stem's.

    Raises:
        TlvError: no such architecture, or its builder does not work.
    """
    # These build it, and so import torch, which a recognised checkpoint needs not.
    from tlvcli.models.builders import build_skeleton
    from tlvcli.models.head import head_tensors

    shapes = {spec.name: spec.shape for spec in specs}
    usual = Architecture(name=name, num_classes=1000)
    heads = [shapes.get(tensor, ()) for tensor in head_tensors(usual)]
    stem = next((tensor for tensor, value in build_skeleton(usual).state_dict().items() if value.dim() == 4), "")
    stem_shape = shapes.get(stem, ())
    return Architecture(
        name=name,
        num_classes=max((shape[0] for shape in heads if shape), default=usual.num_classes) or 1,
        in_chans=stem_shape[1] if len(stem_shape) == 4 and stem_shape[1] else usual.in_chans,
    )

"""Which torchvision classifier a set of tensors is, from names and shapes alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build_skeleton, classifier_names
from tlvcli.models.head import head_tensors


@dataclass(frozen=True)
class Recognised:
    """An architecture whose tensors have exactly these names and shapes, and the order of its state_dict."""

    architecture: Architecture
    tensor_order: tuple[str, ...]


def recognise(specs: Sequence[TensorSpec]) -> Recognised | None:
    """Return the torchvision classifier that `specs` fit, whatever its classes and input channels, or None."""
    index = json.loads(resources.files(__package__).joinpath("signatures.json").read_text())
    shapes = {spec.name: spec.shape for spec in specs if spec.suffix != "num_batches_tracked"}
    for name in index.get(signature(shapes), []):
        architecture = fit_arguments(name, specs)
        skeleton = build_skeleton(architecture).state_dict()
        if all(tuple(skeleton[tensor].shape) == shape for tensor, shape in shapes.items()):
            present = {spec.name for spec in specs}
            return Recognised(architecture, tuple(tensor for tensor in skeleton if tensor in present))
    return None


def fit_arguments(name: str, specs: Sequence[TensorSpec]) -> Architecture:
    """Return architecture `name` with the classes that the head's shape says, and the channels of the stem's."""
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


def signature(names: Iterable[str]) -> str:
    """Return 16 hex digits that stand for a set of tensor names, counters of batches left out."""
    kept = sorted(name for name in names if not name.endswith("num_batches_tracked"))
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()[:16]


def build_signature_index() -> dict[str, list[str]]:
    """Return the architectures behind every signature: the content of `signatures.json`."""
    index: dict[str, list[str]] = {}
    for name in classifier_names():
        skeleton = build_skeleton(Architecture(name=name, num_classes=1000))
        index.setdefault(signature(skeleton.state_dict()), []).append(name)
    return index

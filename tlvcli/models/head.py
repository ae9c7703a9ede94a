"""The head: those tensors of an architecture whose shape depends on the number of classes."""

from __future__ import annotations

from tlvcli.core.provenance import Architecture
from tlvcli.models.builders import build_skeleton


def head_tensors(architecture: Architecture) -> frozenset[str]:
    """Return the names of the tensors that a new number of classes replaces, auxiliary heads among them."""
    other = architecture.model_copy(update={"num_classes": architecture.num_classes + 1})
    here = build_skeleton(architecture).state_dict()
    there = build_skeleton(other).state_dict()
    return frozenset(name for name, tensor in here.items() if tensor.shape != there[name].shape)


def differing_tensors(one: Architecture, other: Architecture) -> frozenset[str]:
    """Return the names of the tensors that only one of two architectures has, or each in another shape."""
    here, there = (build_skeleton(architecture).state_dict() for architecture in (one, other))
    return frozenset(
        name
        for name in {*here, *there}
        if name not in here or name not in there or here[name].shape != there[name].shape
    )

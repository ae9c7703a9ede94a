"""Tensors that are not those of the architecture that a checkpoint is said to be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tlvcli.core.errors import TlvError
from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture

if TYPE_CHECKING:
    from torch import nn

    from tlvcli.pipelines.checkpoints import OpenedCheckpoint

# What a file may say without showing it, as one without its classifier; ImageNet-21k has 21,843.
_MOST_CLASSES = 30_000


def refuse_boast(reference: str, architecture: Architecture, specs: Sequence[TensorSpec]) -> None:
    """Raise `checkpoint-mismatch` where what a file says of itself would take memory without end to build."""
    stated = max(architecture.num_classes, architecture.in_chans)
    if stated <= max((_MOST_CLASSES, *(size for spec in specs if spec.num_elements for size in spec.shape))):
        return
    raise TlvError(
        "checkpoint-mismatch",
        f"{reference} says it has {architecture.num_classes} classes and {architecture.in_chans} input channels, "
        "more than any of its tensors",
        "--arch NAME takes both from the tensors; tlv inspect shows them",
    )


def refuse_mismatch(
    opened: OpenedCheckpoint, module: nn.Module, architecture: Architecture, replaced: frozenset[str]
) -> None:
    """Raise `checkpoint-mismatch` unless the tensors, but for the `replaced` ones, are those of the module."""
    wanted = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items() if name not in replaced}
    found = {spec.name: spec.shape for spec in opened.tensors.specs if spec.name not in replaced}
    # Files from before PyTorch 0.4.1 lack this counter, which nothing here reads.
    missing = [name for name in wanted if name not in found and not name.endswith("num_batches_tracked")]
    unexpected = [name for name in found if name not in wanted]
    reshaped = [
        f"{name} is {list(shape)} where {list(wanted[name])} is needed"
        for name, shape in found.items()
        if name in wanted and shape != wanted[name]
    ]
    faults = [
        *([f"lacks {_some(missing)}"] if missing else []),
        *([f"has {_some(unexpected)} too many"] if unexpected else []),
        *([_some(reshaped)] if reshaped else []),
    ]
    if faults:
        raise TlvError(
            "checkpoint-mismatch",
            f"{opened.reference} is no {architecture.name}: {'; '.join(faults)}",
            "name the architecture that it is; tlv inspect says which, and shows the tensors",
        )


def _some(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"

"""The mask of general kernels, in the form that `tlv train --mask` reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.provenance import MadeBy, Provenance
from tlvcli.core.report import OutputInfo
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.safetensors_writer import write_safetensors
from tlvcli.models.head import head_tensors
from tlvcli.pipelines.analysis.result import ShiftedLayer, ShiftSection
from tlvcli.pipelines.checkpoints import OpenedCheckpoint
from tlvcli.pipelines.training.plan import MASK_KIND

if TYPE_CHECKING:
    from torch import Tensor

_MASKABLE = frozenset({"conv1d", "conv2d", "conv3d", "depthwise-conv2d", "linear", "batch-norm"})


def write_mask(
    path: Path, section: ShiftSection, opened: OpenedCheckpoint, *, statistic: str, force: bool
) -> tuple[OutputInfo, list[str]]:
    """Write for the weight of each layer a uint8 per output channel, 1 for general: it stays frozen.

    The classifier is left out, for training on other classes replaces it, and so are layers that training cannot
    freeze by channels; what is left out is returned in words.

    Raises:
        TlvError: `mask-empty` where no layer remains.
    """
    head = head_tensors(section.architecture)
    kept = [layer for layer in section.layers if layer.kind in _MASKABLE and layer.weight not in head]
    if not kept:
        raise TlvError(
            "mask-empty", "none of the layers can be frozen by output channels", "choose others with --layers"
        )
    tensors = {layer.weight: _frozen(layer) for layer in kept}
    made_from = (opened.ancestor,) if opened.ancestor else ()
    provenance = Provenance(
        architecture=section.architecture,
        made_by=MadeBy(command="analyze-stats", method=statistic, tlv_version=__version__, made_from=made_from),
        preprocessing=section.preprocessing,
        tensor_order=tuple(tensors),
    )
    metadata = {"format": "pt", "tlv_kind": MASK_KIND, "tlv": provenance.model_dump_json(exclude_none=True)}
    sha256 = write_safetensors(path, TensorsInMemory(tensors).specs, tensors.items(), metadata=metadata, force=force)
    left_out = [
        f"{layer.name}, the classifier" if layer.weight in head else f"{layer.name} ({layer.kind})"
        for layer in section.layers
        if layer not in kept
    ]
    return OutputInfo(role="mask", path=str(path), sha256=sha256), left_out


def _frozen(layer: ShiftedLayer) -> Tensor:
    import torch

    general = torch.ones(layer.channels, dtype=torch.uint8)
    general[layer.specific] = 0
    return general

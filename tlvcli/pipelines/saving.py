"""Networks and tensors written as checkpoints that say what they are."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture, MadeBy, Preprocessing, Provenance
from tlvcli.core.report import OutputInfo
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.sharded_writer import plan_shards, write_sharded

if TYPE_CHECKING:
    from torch import Tensor, nn


def save_module(
    module: nn.Module,
    path: Path,
    *,
    architecture: Architecture,
    made_by: MadeBy,
    class_names: tuple[str, ...] | None,
    preprocessing: Preprocessing | None,
    force: bool,
) -> OutputInfo:
    """Write the module's tensors with their provenance; plain PyTorch loads the file, strictly."""
    state = module.state_dict()
    provenance = Provenance(
        architecture=architecture, made_by=made_by, class_names=class_names, preprocessing=preprocessing
    )
    specs = TensorsInMemory(state).specs
    (output,) = save_tensors(path, specs, state.items(), provenance=provenance, force=force)
    return output


def save_tensors(
    path: Path,
    specs: tuple[TensorSpec, ...],
    tensors: Iterable[tuple[str, Tensor]],
    *,
    provenance: Provenance,
    force: bool,
    shard_bytes: int | None = None,
) -> tuple[OutputInfo, ...]:
    """Stream tensors into a safetensors file that says what it is and in which order its tensors stand.

    What is larger than `shard_bytes` goes into several files with an index, which is the first output.
    """
    ordered = provenance.model_copy(update={"tensor_order": tuple(spec.name for spec in specs)})
    metadata = {"format": "pt", "tlv": ordered.model_dump_json(exclude_none=True)}
    return write_sharded(plan_shards(path, specs, shard_bytes), tensors, metadata=metadata, force=force)

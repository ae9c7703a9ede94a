"""What is in a checkpoint: its tensors by layer, totals, and what the file says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from pydantic import Field

from tlvcli import __version__
from tlvcli.core.config import Config
from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Architecture, Provenance
from tlvcli.core.report import InputInfo, Report, ReportPart
from tlvcli.core.runtime import Stopwatch
from tlvcli.io.checkpoint import Checkpoint, open_checkpoint
from tlvcli.io.safetensors_header import ITEM_BYTES
from tlvcli.models.graph import BUFFER_SUFFIXES

SCHEMA = "tlv.inspect/1"


class InspectConfig(Config):
    """Settings of `tlv inspect`."""

    checkpoint: str = Field(description="checkpoint file of any format, ARCH@WEIGHTS or ARCH@random")
    key: str | None = Field(None, description="which part of a nested checkpoint, as in model_ema")
    offline: bool = Field(False, description="never touch the network")


class InspectedTensor(ReportPart):
    """One tensor; its name is the layer's, a dot, and its own."""

    name: str
    shape: tuple[int, ...]
    dtype: str = Field(description="as torch names it: float32, bfloat16, int64")
    parameters: int = Field(description="elements; 0 for a buffer")
    buffers: int = Field(description="elements of running_mean, running_var or num_batches_tracked, else 0")
    bytes: int


class InspectedLayer(ReportPart):
    """The tensors whose names agree up to the last dot."""

    name: str = Field(description="empty for tensors without a dot in their name")
    tensors: list[InspectedTensor]
    parameters: int
    buffers: int
    bytes: int


class InspectTotals(ReportPart):
    """Sums over the whole checkpoint."""

    layers: int
    tensors: int
    parameters: int = Field(description="elements of all tensors that are not buffers")
    buffers: int = Field(
        description="elements of tensors called running_mean, running_var or num_batches_tracked; others "
        "cannot be told from parameters by their names, and count as parameters"
    )
    bytes: int = Field(description="of tensors; two names of one tensor count twice")
    dtypes: dict[str, int] = Field(description="number of tensors of each dtype")


class InspectResult(ReportPart):
    """The content of one checkpoint."""

    format: str = Field(description="safetensors, pytorch-zip, pytorch-legacy, or random initialisation")
    file_bytes: int | None = Field(description="null where there is no file")
    architecture: Architecture | None = Field(description="null where the file does not name it")
    key: str | None = Field(description="the part of a nested file that was taken; null: the top level")
    prefix: str = Field(description="what wrapped modules had put before every name; not in the names here")
    alternatives: list[str] = Field(description="other parts with tensors, for --key; a dot is the top level")
    ignored: list[str] = Field(description="all other entries of the file, at the level taken and above")
    totals: InspectTotals
    layers: list[InspectedLayer] = Field(description="in the order of the checkpoint")
    metadata: dict[str, str] = Field(description="text in the file's header, without tlv's own")
    provenance: Provenance | None = Field(description="null where another tool wrote the file")


def run(config: InspectConfig) -> Report[InspectResult]:
    """Describe a checkpoint; of a safetensors file only the header is read, and torch is not imported."""
    watch = Stopwatch()
    architecture, file, specs = _open(config)
    result = _describe_checkpoint(architecture, file, specs)
    source = InputInfo(
        role="checkpoint",
        path=str(file.path) if file else config.checkpoint,
        format=result.format,
        key=result.key,
        tensors=result.totals.tensors,
        parameters=result.totals.parameters,
        order=file.order if file else "architecture",
    )
    return Report[InspectResult](
        schema_id=SCHEMA,
        tlv_version=__version__,
        run=watch.run_info(),
        inputs=[source],
        config=config.model_dump(),
        result=result,
        outputs=[],
        warnings=[],
    )


def _open(config: InspectConfig) -> tuple[Architecture | None, Checkpoint | None, Sequence[TensorSpec]]:
    path = Path(config.checkpoint)
    if "@" not in path.name or path.exists():
        file = open_checkpoint(path, key=config.key)
        return (file.provenance.architecture if file.provenance else None), file, file.specs
    # Only here, since it builds the architecture, and so takes the seconds that torch takes to import.
    from tlvcli.pipelines.checkpoints import open_reference

    opened = open_reference(
        config.checkpoint, role="checkpoint", key=config.key, arch=None, offline=config.offline, seed=0
    )
    return opened.architecture, opened.file, opened.tensors.specs


def _describe_checkpoint(
    architecture: Architecture | None, file: Checkpoint | None, specs: Sequence[TensorSpec]
) -> InspectResult:
    """Return the content of a checkpoint, from names, shapes and dtypes alone."""
    layers = _group_by_layer(specs)
    provenance = file.provenance if file else None
    metadata = dict(sorted(file.metadata.items())) if file else {}
    if provenance:
        metadata.pop("tlv")
    return InspectResult(
        format=file.format if file else "random initialisation",
        file_bytes=file.num_bytes if file else None,
        architecture=architecture,
        key=file.key if file else None,
        prefix=file.prefix if file else "",
        alternatives=sorted(file.alternatives) if file else [],
        ignored=sorted(file.ignored) if file else [],
        totals=InspectTotals(
            layers=len(layers),
            tensors=len(specs),
            parameters=sum(layer.parameters for layer in layers),
            buffers=sum(layer.buffers for layer in layers),
            bytes=sum(layer.bytes for layer in layers),
            dtypes=dict(sorted(Counter(spec.dtype for spec in specs).items())),
        ),
        layers=layers,
        metadata=metadata,
        provenance=provenance,
    )


def _group_by_layer(specs: Sequence[TensorSpec]) -> list[InspectedLayer]:
    groups: dict[str, list[InspectedTensor]] = {}
    for spec in specs:
        groups.setdefault(spec.name.rpartition(".")[0], []).append(_describe(spec))
    return [
        InspectedLayer(
            name=name,
            tensors=tensors,
            parameters=sum(tensor.parameters for tensor in tensors),
            buffers=sum(tensor.buffers for tensor in tensors),
            bytes=sum(tensor.bytes for tensor in tensors),
        )
        for name, tensors in groups.items()
    ]


def _describe(spec: TensorSpec) -> InspectedTensor:
    is_buffer = spec.suffix in BUFFER_SUFFIXES
    return InspectedTensor(
        name=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        parameters=0 if is_buffer else spec.num_elements,
        buffers=spec.num_elements if is_buffer else 0,
        bytes=spec.num_elements * ITEM_BYTES[spec.dtype],
    )

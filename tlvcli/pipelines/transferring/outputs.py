"""What `tlv transfer` writes: refused before the work where it cannot be, streamed tensor by tensor at its end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tlvcli.core.graph import TensorSpec
from tlvcli.core.provenance import Provenance
from tlvcli.core.report import OutputInfo
from tlvcli.io.atomic import refuse_existing
from tlvcli.io.plan_files import refuse_existing_plan
from tlvcli.io.sharded_writer import plan_shards, refuse_existing_files
from tlvcli.pipelines.casting import cast
from tlvcli.pipelines.outputs import refuse_inputs, refuse_report, refuse_suffix
from tlvcli.pipelines.saving import save_tensors
from tlvcli.pipelines.transferring.config import TransferConfig
from tlvcli.pipelines.transferring.inputs import Target

if TYPE_CHECKING:
    from torch import Tensor


def find_report_path(config: TransferConfig) -> Path | None:
    """Return where the report goes: where asked, else beside the output; a dry run writes none unasked."""
    if config.report:
        return Path(config.report)
    return None if config.dry_run or config.out is None else Path(config.out).with_suffix(".report.json")


def find_outputs(config: TransferConfig) -> list[Path]:
    """Return every file that is to be written."""
    named = (config.out, config.save_plan, find_report_path(config))
    return [Path(path) for path in named if path is not None]


def refuse_outputs(config: TransferConfig) -> None:
    """Raise a `TlvError` where an output is an input, exists, or has another kind of file's name."""
    given = (config.source, config.target_checkpoint, config.plan)
    refuse_inputs(find_outputs(config), [Path(name) for name in given if name])
    report_path = find_report_path(config)
    if config.out is not None:
        out = Path(config.out)
        refuse_suffix(out)
        if report_path:
            refuse_report(report_path, (out,))
        if not config.dry_run:
            refuse_existing(out, force=config.force)
    if config.save_plan:
        refuse_existing_plan(Path(config.save_plan), force=config.force)
    if report_path:
        refuse_existing(report_path, force=config.force)


def write_target(
    config: TransferConfig,
    target: Target,
    tensors: Iterable[tuple[str, Tensor]],
    dtypes: Mapping[str, str],
    provenance: Provenance,
) -> tuple[OutputInfo, ...]:
    """Write the target's `tensors`, given in its order, as `dtypes` where they are floating."""
    assert config.out is not None
    out = Path(config.out)
    specs = tuple(TensorSpec(tensor.name, tensor.shape, dtypes[tensor.name]) for tensor in target.graph.tensors())
    refuse_existing_files(plan_shards(out, specs, config.shard_size), force=config.force)
    return save_tensors(
        out,
        specs,
        _cast(tensors, dtypes),
        provenance=provenance,
        force=config.force,
        shard_bytes=config.shard_size,
    )


def _cast(tensors: Iterable[tuple[str, Tensor]], dtypes: Mapping[str, str]) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors:
        yield name, cast(tensor, dtypes[name], name=name) if tensor.is_floating_point() else tensor

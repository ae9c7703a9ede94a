"""Plans on their way to being carried out: narrowed to some layers, saved, read again and checked."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tlvcli import __version__
from tlvcli.core.errors import TlvError
from tlvcli.core.graph import ModelGraph
from tlvcli.core.layer_globs import is_named, refuse_unknown
from tlvcli.core.plan import PlanRow, TransferPlan, keep_row
from tlvcli.core.provenance import Architecture
from tlvcli.core.report import OutputInfo
from tlvcli.io.plan_files import SavedPlan, read_plan, write_plan
from tlvcli.pipelines.checkpoints import OpenedCheckpoint


@dataclass(frozen=True)
class ReadPlan:
    """A plan from a file; `is_edited` says that a row is no longer what a method wrote."""

    path: Path
    saved: SavedPlan
    plan: TransferPlan
    is_edited: bool

    @property
    def method(self) -> str:
        """The method to name in the checkpoint: what a person has edited is no method's any more."""
        return f"{self.saved.method}, plan edited" if self.is_edited else self.saved.method


def narrow(plan: TransferPlan, target: ModelGraph, *, only: Sequence[str], skip: Sequence[str]) -> TransferPlan:
    """Return the plan in which only the layers that `only` names, and none that `skip` names, are written to.

    Raises:
        TlvError: `layers-unknown` for a pattern that names nothing.
    """
    refuse_unknown((*only, *skip), [tensor.name for tensor in target.tensors()])

    def chosen(row: PlanRow) -> PlanRow:
        why = _why_left(row.tensor, only, skip)
        return keep_row(row.tensor, row.shape, why) if why else row

    rows = tuple(map(chosen, plan.rows))
    # A layer that is left alone knows nothing that its rate should protect.
    left = left_alone(target, only=only, skip=skip)
    rates = {layer: rate for layer, rate in plan.recommended_rates.items() if layer not in left}
    return replace(plan, rows=rows, recommended_rates=rates)


def left_alone(target: ModelGraph, *, only: Sequence[str], skip: Sequence[str]) -> dict[str, str]:
    """Return the layers of which `only` and `skip` leave a tensor alone, and why."""
    reasons = {tensor.name: _why_left(tensor.name, only, skip) for tensor in target.tensors()}
    return {name.rpartition(".")[0]: why for name, why in reasons.items() if why}


def _why_left(tensor: str, only: Sequence[str], skip: Sequence[str]) -> str:
    left = next((pattern for pattern in skip if is_named(tensor, pattern)), None)
    if left is not None:
        return f"left alone by --skip {left}"
    is_left = only and not any(is_named(tensor, pattern) for pattern in only)
    return f"left alone by --only {' '.join(only)}" if is_left else ""


def save_plan(
    path: Path,
    plan: TransferPlan,
    *,
    method: str,
    seed: int,
    source: OpenedCheckpoint,
    target: Architecture,
    dtype: str | None,
    force: bool,
) -> list[OutputInfo]:
    """Write the plan with what it was made for."""
    needed = {row.tensor for row in plan.rows if row.operation != "keep"}
    arrays = {name: array for name, array in plan.arrays.items() if name.rpartition(":")[0] in needed}
    saved = SavedPlan(
        tlv_version=__version__,
        method=method,
        seed=seed,
        source=source.ancestor,
        target=target,
        dtype=dtype,
        recommended_rates=dict(plan.recommended_rates),
        digest=_digest(plan.rows),
        rows=plan.rows,
    )
    return write_plan(path, saved, arrays, force=force)


def open_plan(path: Path) -> ReadPlan:
    """Read a plan; rows that were edited count what they take anew.

    Raises:
        TlvError: what is wrong with the file.
    """
    saved, plan = read_plan(path)
    is_edited = saved.digest != _digest(saved.rows)
    return ReadPlan(path, saved, replace(plan, rows=tuple(map(_counted, plan.rows))), is_edited)


def refuse_other_target(read: ReadPlan, *, target_arch: str, seed: int) -> None:
    """Raise `plan-mismatch` where a plan is to be carried out for another architecture or seed than its own."""
    if read.saved.target.name != target_arch:
        what = f"is for {read.saved.target.name}, not {target_arch}"
        raise TlvError("plan-mismatch", f"{read.path} {what}", "name the target that the plan was made for")
    if seed not in (0, read.saved.seed):
        what = f"was made with seed {read.saved.seed}, not {seed}"
        raise TlvError("plan-mismatch", f"{read.path} {what}", "leave --seed out: the plan has its own")


def source_warnings(read: ReadPlan, source: OpenedCheckpoint) -> list[str]:
    """Return what to say where the plan was made from another source than it is carried out with."""
    made_from, ancestor = read.saved.source, source.ancestor
    if made_from is None or ancestor is None or made_from.sha256 == ancestor.sha256:
        return []
    return [f"{read.path} was made from {made_from.name} {made_from.sha256[:12]}, not from {ancestor.name}"]


def _counted(row: PlanRow) -> PlanRow:
    """Return the row with the share that its operation can take, whatever it said before it was edited."""
    if row.operation in ("keep", "normal", "constant"):
        return row.model_copy(update={"source": None, "transferred": 0.0})
    return row.model_copy(update={"transferred": 1.0}) if row.operation == "copy" else row


def _digest(rows: Sequence[PlanRow]) -> str:
    digest = hashlib.sha256()
    for row in rows:
        digest.update(row.model_dump_json().encode() + b"\n")
    return digest.hexdigest()

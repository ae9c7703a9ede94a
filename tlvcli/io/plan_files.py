"""Transfer plans on disk: rows as YAML that a person can edit, index maps as safetensors beside it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tlvcli.core.errors import TlvError, printable
from tlvcli.core.plan import PlanRow, TransferPlan
from tlvcli.core.provenance import Ancestor, Architecture
from tlvcli.core.report import OutputInfo
from tlvcli.core.tensors import TensorsInMemory
from tlvcli.io.atomic import atomic_file, refuse_existing
from tlvcli.io.checkpoint import open_checkpoint
from tlvcli.io.hashing import hash_file
from tlvcli.io.plain_yaml import read_yaml
from tlvcli.io.safetensors_writer import write_safetensors

if TYPE_CHECKING:
    from torch import Tensor

PLAN_SCHEMA = "tlv.plan/1"
# A plan has some 200 bytes and 30 values a row; the largest networks have some thousand tensors.
MAX_PLAN_BYTES = 10_000_000
MAX_EVENTS = 500_000
_HINT = "a plan is what tlv transfer --save-plan wrote"

# The C emitter of libyaml where there is one, which is ten times as fast.
_Dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class SavedPlan(BaseModel):
    """A plan's file: what it was made for, which a replay checks, and its rows.

    `arrays` names the safetensors file beside it that holds the index maps; None where no row needs one.
    `recommended_rates` are multiples of the learning rate, by layer. `digest` is the sha256 of the rows as the method
    wrote them, by which an edited plan is told.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True)

    schema_id: Literal["tlv.plan/1"] = Field("tlv.plan/1", alias="schema")
    tlv_version: str
    method: str
    seed: int = Field(ge=0)
    source: Ancestor | None
    target: Architecture
    dtype: str | None = None
    recommended_rates: dict[str, float] = {}
    arrays: str | None = None
    digest: str
    rows: tuple[PlanRow, ...]


def arrays_path(path: Path) -> Path:
    """Return where the index maps of the plan at `path` lie: the same name, `.safetensors`."""
    return path.with_suffix(".safetensors")


def refuse_existing_plan(path: Path, *, force: bool) -> None:
    """Raise `output-exists` or the like where the plan or its arrays may not be written."""
    if path.suffix not in (".yaml", ".yml"):
        raise TlvError("output-not-yaml", f"{path} does not end in .yaml", f"name it {path.with_suffix('.yaml').name}")
    refuse_existing(path, force=force)
    refuse_existing(arrays_path(path), force=force)


def write_plan(path: Path, saved: SavedPlan, arrays: Mapping[str, Tensor], *, force: bool) -> list[OutputInfo]:
    """Write the index maps, then the rows that need them; returns what was written."""
    refuse_existing_plan(path, force=force)
    outputs = []
    if arrays:
        beside = arrays_path(path)
        specs = TensorsInMemory(arrays).specs
        metadata = {"tlv_kind": "plan-arrays"}
        sha256 = write_safetensors(beside, specs, arrays.items(), metadata=metadata, force=force)
        outputs.append(OutputInfo(role="plan-arrays", path=str(beside), sha256=sha256))
        saved = saved.model_copy(update={"arrays": beside.name})
    content = saved.model_dump(mode="json", by_alias=True, exclude_none=False)
    text = yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    with atomic_file(path, force=force) as stream:
        stream.write(text.encode())
    return [OutputInfo(role="plan", path=str(path), sha256=hash_file(path)), *outputs]


def read_plan(path: Path) -> tuple[SavedPlan, TransferPlan]:
    """Return a plan and what it was made for.

    Raises:
        TlvError: `plan-unreadable`, `plan-version` for one of another format, `plan-invalid` naming every row that
            is none, or whatever is wrong with the file of its arrays.
    """
    content = read_yaml(path, error_id="plan-unreadable", hint=_HINT, most_bytes=MAX_PLAN_BYTES, most_events=MAX_EVENTS)
    saved = _parse(path, content)
    arrays: dict[str, Tensor] = {}
    if saved.arrays is not None:
        if Path(saved.arrays).name != saved.arrays or printable(saved.arrays) != saved.arrays:
            raise TlvError("plan-invalid", f"{path} names its arrays {saved.arrays}", "a plan names a file beside it")
        file = open_checkpoint(path.parent / saved.arrays)
        arrays = {spec.name: file.read(spec.name) for spec in file.specs}
    return saved, TransferPlan(saved.rows, arrays, recommended_rates=saved.recommended_rates)


def _parse(path: Path, content: Any) -> SavedPlan:
    if not isinstance(content, Mapping) or "schema" not in content:
        raise TlvError("plan-unreadable", f"{path} is no plan", _HINT)
    if content["schema"] != PLAN_SCHEMA:
        raise TlvError(
            "plan-version",
            f"{path} has the schema {content['schema']}; this tlv reads {PLAN_SCHEMA}",
            "save the plan again with this version",
        )
    try:
        return SavedPlan.model_validate(content)
    except ValidationError as error:
        # Rows first: they are what people edit.
        faults = sorted(error.errors(include_url=False), key=lambda fault: fault["loc"][:1] != ("rows",))
    rows = content.get("rows")
    raise TlvError(
        "plan-invalid",
        f"{path}: {'; '.join(_describe(fault, rows) for fault in faults[:5])}"
        + (f" and {len(faults) - 5} more" if len(faults) > 5 else ""),
        "docs/plans.md says what a row holds",
    )


def _describe(fault: Any, rows: Any) -> str:
    where = list(fault["loc"])
    if len(where) > 1 and where[0] == "rows" and isinstance(rows, list) and isinstance(where[1], int):
        row = rows[where[1]]
        name = row.get("tensor") if isinstance(row, Mapping) else None
        where = [f"row {where[1] + 1} ({name})" if name else f"row {where[1] + 1}", *where[2:]]
    message = fault["msg"].removeprefix("Value error, ")
    return f"{': '.join(map(str, where))}: {message[:1].lower()}{message[1:]}"

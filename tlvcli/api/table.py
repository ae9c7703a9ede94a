"""A report as a short table: its plain values; what is long is counted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import Any

from pydantic import BaseModel

from tlvcli.core.errors import printable
from tlvcli.core.report import Report

Row = tuple[str, str]
_LEFT = 'style="text-align: left"'


def report_rows(report: Report[Any]) -> tuple[Row, ...]:
    """Return name and value of what the report says at a glance: result, outputs, gates and warnings."""
    return (
        ("", report.schema_id.partition("/")[0].replace(".", " ")),
        *_values(report.result),
        *(("wrote", f"{output.path} ({output.role})") for output in report.outputs),
        *(("gate" if gate.met else "gate not met", f"{gate.flag}: {gate.message}") for gate in report.gates),
        *(("warning", warning) for warning in report.warnings),
    )


def to_text(rows: Sequence[Row]) -> str:
    """Return the table as lines of aligned text, the first without a name."""
    width = max(len(name) for name, _ in rows)
    (_, title), *others = rows
    return "\n".join([title, *(f"  {name:<{width}}  {printable(value)}" for name, value in others)])


def to_html(rows: Sequence[Row]) -> str:
    """Return the table as HTML without scripts; what comes from files is escaped."""
    (_, title), *others = rows
    cells = ((escape(name), escape(printable(value))) for name, value in others)
    lines = "".join(f"<tr><th {_LEFT}>{name}</th><td {_LEFT}>{value}</td></tr>" for name, value in cells)
    return f"<table><caption {_LEFT}>{escape(title)}</caption>{lines}</table>"


def _values(part: BaseModel, prefix: str = "") -> Iterator[Row]:
    """Yield the plain values of a part, and of the parts in it; of lists and mappings only how long they are."""
    for key in type(part).model_fields:
        value, name = getattr(part, key), prefix + key
        if isinstance(value, BaseModel):
            if not prefix:
                yield from _values(value, f"{name}.")
        elif isinstance(value, (list, tuple, dict)):
            yield from [(name, f"{len(value):,} entries")] if len(value) != 1 else [(name, "1 entry")]
        elif value is not None:
            yield name, _written(value)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)

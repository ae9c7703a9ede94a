"""What `tlv inspect --summary` shows: the calls of a forward pass as a tree, and what the network costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from tlvcli.cli.console import count, shape, write_columns, write_fact
from tlvcli.models.summary import SummaryRow, SummaryTotals
from tlvcli.pipelines.inspection.summary import SummarySection

_NAMED = 3


def render_summary(section: SummarySection, console: Console, depth: int | None) -> None:
    """Draw the tree down to `depth` levels below the network, what is deeper added up, and the totals below it."""
    write_columns(console, list(_rows(section, depth)), right=(2, 3), cut=0, bold=(0,))
    if section.totals:
        write_columns(console, list(_figures(section.totals)), right=(1,), cut=2, bold=())
    for label, text in _facts(section):
        write_fact(console, label, text)


def _rows(section: SummarySection, depth: int | None) -> Iterator[tuple[str, ...]]:
    shown = _fold(section.rows, depth)
    products = max(1, sum(row.products for row in shown))
    failed = _failed_row(section, shown)
    yield "layer (type)", "output", "parameters", "mult-adds"
    for number, (branch, row) in enumerate(zip(_branches([row.depth for row in shown]), shown, strict=True)):
        name = f"{row.name.rpartition('.')[2]} ({row.class_name})" if row.name else row.class_name
        share = row.products / products
        percent = f"{share:.1%}" if section.totals and share >= 0.0005 else ""
        yield branch + name, "failed" if number == failed else _output(row), _parameters(row), percent


def _failed_row(section: SummarySection, shown: Sequence[SummaryRow]) -> int | None:
    """Return the row of the layer that failed, or of what is shown around it."""
    name = section.failure.name if section.failure else None
    if name is None:
        return None
    around = [number for number, row in enumerate(shown) if f"{name}.".startswith(f"{row.name}." if row.name else "")]
    return around[-1]


def _fold(rows: Sequence[SummaryRow], depth: int | None) -> list[SummaryRow]:
    """Add what lies deeper than `depth` to the row above that is still shown."""
    shown: list[SummaryRow] = []
    for row in rows:
        if depth is None or row.depth <= depth or not shown:
            shown.append(row)
        else:
            added = ("parameters", "trainable_parameters", "mult_adds", "products")
            sums = {name: getattr(shown[-1], name) + getattr(row, name) for name in added}
            shown[-1] = shown[-1].model_copy(update=sums)
    return shown


def _branches(depths: Sequence[int]) -> list[str]:
    """Return the lines before each row of a tree; a row is its parent's last if no sibling follows."""
    branches: list[str] = []
    followed: set[int] = set()
    for depth in reversed(depths):
        rails = "".join("│  " if level in followed else "   " for level in range(1, depth))
        branches.append(rails + ("" if depth == 0 else "├─ " if depth in followed else "└─ "))
        followed = {level for level in followed if level < depth} | {depth}
    return branches[::-1]


def _output(row: SummaryRow) -> str:
    if not row.output_shapes:
        return ""
    first, *more = row.output_shapes
    return f"{shape(first)} +{len(more)}" if more else shape(first)


def _parameters(row: SummaryRow) -> str:
    """Write the number of parameters, in brackets where none is trained."""
    if row.is_recursive:
        return "(recursive)"
    if not row.parameters:
        return ""
    return count(row.parameters) if row.trainable_parameters else f"({count(row.parameters)})"


def _figures(totals: SummaryTotals) -> Iterator[tuple[str, str, str]]:
    yield "total parameters", count(totals.parameters), ""
    yield "  trainable", count(totals.trainable_parameters), ""
    yield "  non-trainable", count(totals.frozen_parameters), ""
    yield "total mult-adds", _scaled(totals.mult_adds), "linear at one position, no attention"
    yield "  by operations", _scaled(totals.products), "convolutions, matrices, attention"
    yield "input size", _megabytes(totals.input_bytes), ""
    yield "forward/backward pass size", _megabytes(totals.forward_backward_bytes), ""
    yield "parameters size", _megabytes(totals.parameter_bytes), ""
    yield "estimated total size", _megabytes(totals.total_bytes), ""


def _scaled(number: int) -> str:
    for unit, factor in (("T", 10**12), ("G", 10**9), ("M", 10**6)):
        if number >= factor:
            return f"{number / factor:.2f} {unit}"
    return count(number)


def _megabytes(num_bytes: int) -> str:
    return f"{num_bytes / 1e6:,.2f} MB"


def _facts(section: SummarySection) -> Iterator[tuple[str, str]]:
    how = (
        "by shapes alone"
        if section.forward == "shapes"
        else "computed with random weights, since the code asks for values"
    )
    yield "summary", f"{section.architecture.name}, input {shape(section.input_size)}, {how}"
    if section.not_called:
        first, *more = section.not_called
        names = ", ".join(section.not_called) if len(more) < _NAMED else f"{first} and {count(len(more))} more"
        yield "not called", f"{names}: their parameters count with the row above"

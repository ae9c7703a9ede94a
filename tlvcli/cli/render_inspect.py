"""What `tlv inspect` shows: a line for every tensor under its layer, then totals and history."""

from __future__ import annotations

from collections.abc import Iterator

from tlvcli.cli.console import count, results, safe, shape, size, write_columns
from tlvcli.core.provenance import MadeBy
from tlvcli.core.report import Report
from tlvcli.pipelines.inspect import InspectResult


def render(report: Report[InspectResult], verbose: bool) -> None:
    """Draw the report; `verbose` adds the metadata that is not ours."""
    console, result = results(), report.result
    rows = list(_rows(result))
    layers = [number for number, row in enumerate(rows) if row[2] in ("dtype", "")]
    write_columns(console, rows, right=(3, 4), cut=0, bold=layers)
    for label, text in _facts(report):
        console.print(f"[bold]{label:<12}[/] {safe(text)}", soft_wrap=True)
    if verbose:
        for name, text in result.metadata.items():
            console.print(f"[bold]metadata[/]     {safe(name)} = {safe(text)}", soft_wrap=True)


_Row = tuple[str, str, str, str, str]


def _rows(result: InspectResult) -> Iterator[_Row]:
    """Yield a row for every layer of several tensors, and one for every tensor, indented below its layer."""
    yield "tensor", "shape", "dtype", "parameters", "bytes"
    for layer in result.layers:
        indent = "  " if len(layer.tensors) > 1 else ""
        if indent:
            yield layer.name or "(top level)", "", "", count(layer.parameters + layer.buffers), size(layer.bytes)
        for tensor in layer.tensors:
            name = indent + tensor.name.removeprefix(f"{layer.name}.") if indent else tensor.name
            elements = count(tensor.parameters or tensor.buffers)
            yield name, shape(tensor.shape), tensor.dtype, elements, size(tensor.bytes)


def _facts(report: Report[InspectResult]) -> Iterator[tuple[str, str]]:
    result, totals = report.result, report.result.totals
    bytes_on_disk = f", {size(result.file_bytes)}" if result.file_bytes is not None else ""
    yield "checkpoint", f"{report.inputs[0].path}, {result.format}{bytes_on_disk}"
    if result.architecture:
        yield "architecture", f"{result.architecture.name}, {result.architecture.num_classes} classes"
    if result.key or result.prefix:
        prefix = f", prefix {result.prefix} stripped" if result.prefix else ""
        yield "taken", f"{result.key or 'the top level'}{prefix}"
    if result.alternatives:
        yield "also there", f"{', '.join(result.alternatives)} (--key takes another)"
    if result.ignored:
        yield "not tensors", ", ".join(result.ignored)
    dtypes = ", ".join(f"{count(number)} {dtype}" for dtype, number in totals.dtypes.items())
    buffers = f" and {count(totals.buffers)} in buffers" if totals.buffers else ""
    yield "total", f"{count(totals.parameters)} parameters{buffers}, {size(totals.bytes)}"
    yield (
        "tensors",
        f"{count(totals.tensors)} in {count(totals.layers)} layers: {dtypes}; order: {report.inputs[0].order}",
    )
    if result.metadata:
        yield "metadata", ", ".join(result.metadata)
    if result.provenance:
        yield "made by", _history(result.provenance.made_by)


def _history(made_by: MadeBy) -> str:
    own = f"tlv {made_by.command} ({made_by.method}), version {made_by.tlv_version}"
    parents = [
        f"{parent.name} {parent.sha256[:12]}" + (f" <- {_history(parent.made_by)}" if parent.made_by else "")
        for parent in made_by.made_from
    ]
    return f"{own} <- {' and '.join(parents)}" if parents else own

"""What `tlv inspect` shows: the layers as a folded tree, or every tensor, then what the file is and its history."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console

from tlvcli.cli.console import bar, count, markdown_table, results, shape, size, write_columns, write_fact
from tlvcli.cli.layer_tree import Node, TreeRow, tree_rows
from tlvcli.cli.render_difference import render_difference
from tlvcli.cli.render_statistics import narrowed, render_statistics
from tlvcli.cli.render_summary import render_summary
from tlvcli.cli.render_verification import render_verification
from tlvcli.core.errors import printable
from tlvcli.core.graph import LayerKind
from tlvcli.core.provenance import MadeBy
from tlvcli.core.report import Report
from tlvcli.core.wording import counted
from tlvcli.pipelines.inspection.content import InspectedLayer
from tlvcli.pipelines.inspection.plan import PlanSection
from tlvcli.pipelines.inspection.result import InspectResult
from tlvcli.pipelines.inspection.statistics import StatisticsSection

Sort = Literal["order", "name", "parameters", "bytes"]

WIDE_COLUMNS = 110
_BAR_CELLS = 10
_RGB_CHANNELS = 3
_WORDS: dict[LayerKind, str] = {
    "conv1d": "conv",
    "conv2d": "conv",
    "conv3d": "conv",
    "depthwise-conv2d": "depthwise",
    "conv-transpose": "conv transposed",
    "linear": "linear",
    "batch-norm": "batch norm",
    "norm": "norm",
    "other": "",
}


@dataclass(frozen=True)
class View:
    """How the user wants to see the layers; it changes nothing in the report."""

    depth: int | None = None
    sort: Sort = "order"
    markdown: bool = False
    verbose: bool = False


def render(report: Report[InspectResult], view: View) -> None:
    """Draw the layers and the facts below them, then the sections that were asked for."""
    console, result = results(), report.result
    if result.plan:
        for label, text in _plan_facts(report.inputs[0].path, result.plan):
            write_fact(console, label, text)
        return
    wide = view.markdown or console.width >= WIDE_COLUMNS
    table = _tensor_table(result) if view.verbose else _layer_table(result, view, wide=wide)
    if view.markdown:
        console.file.write(markdown_table(table.rows, right=table.right) + "\n\n")
        console.file.writelines(f"- **{label}**: {printable(text)}\n" for label, text in _facts(report))
        if result.statistics or result.difference or result.verification or result.summary:
            # Sections are columns and facts below them: in a fence they stay aligned, whoever shows the Markdown.
            console.file.write("\n```text")
            plain = Console(file=console.file, width=console.width, force_terminal=False, color_system=None)
            _render_sections(report, plain, view)
            console.file.write("```\n")
        return
    write_columns(console, table.rows, right=table.right, cut=0, bold=table.bold)
    for label, text in _facts(report):
        write_fact(console, label, text)
    _render_sections(report, console, view)


def _render_sections(report: Report[InspectResult], console: Console, view: View) -> None:
    result = report.result
    if result.statistics:
        console.print()
        _render_values(result.statistics, console, view, all_of_them=bool(report.config["stats"]))
    if result.difference:
        console.print()
        render_difference(result.difference, console, verbose=view.verbose)
    if result.verification:
        console.print()
        render_verification(result.verification, console)
    if result.summary:
        console.print()
        render_summary(result.summary, console, view.depth)


def _render_values(section: StatisticsSection, console: Console, view: View, *, all_of_them: bool) -> None:
    """Draw the statistics; where they were only read for a gate, what is broken, or that nothing is."""
    if all_of_them or section.non_finite:
        shown = section if all_of_them else narrowed(section, section.non_finite)
        render_statistics(shown, console, verbose=view.verbose)
    else:
        write_fact(console, "values", f"all finite, in {counted(len(section.tensors), 'tensor')}")


@dataclass(frozen=True)
class _Table:
    rows: list[tuple[str, ...]]
    right: tuple[int, ...]
    bold: list[int]


def _layer_table(result: InspectResult, view: View, *, wide: bool) -> _Table:
    head: tuple[str, ...] = ("layer", "weight", "parameters", "share")
    if wide:
        head = (*head, "", "dtype", "tensors", "bytes")
    rows: list[tuple[str, ...]] = [head]
    bold = [0]
    total = max(1, result.totals.parameters)
    for row, times in _with_repetitions(_ordered(result.layers, view)):
        if row.is_module:
            bold.append(len(rows))
        rows.append(_layer_row(row, times / total, wide=wide))
    return _Table(rows, (2, 3, 6, 7) if wide else (2,), bold)


def _ordered(layers: Sequence[InspectedLayer], view: View) -> Iterator[TreeRow]:
    """Yield the folded tree in the file's order; in any other, the layers alone with their whole names."""
    if view.sort == "order":
        yield from tree_rows(layers, view.depth)
        return
    ordered = sorted(layers, key=lambda layer: layer.name if view.sort == "name" else "")
    if view.sort in ("parameters", "bytes"):
        ordered.sort(key=lambda layer: layer.parameters if view.sort == "parameters" else layer.bytes, reverse=True)
    for layer in ordered:
        yield TreeRow(Node(layer.name, layer), 0, is_module=False)


def _with_repetitions(rows: Iterator[TreeRow]) -> Iterator[tuple[TreeRow, int]]:
    """Yield each row with the number of times that it stands for, those of the modules around it multiplied."""
    around: list[int] = []
    for row in rows:
        del around[row.level :]
        around.append((around[-1] if around else 1) * row.node.times)
        yield row, around[-1]


def _layer_row(row: TreeRow, share_of_one: float, *, wide: bool) -> tuple[str, ...]:
    node = row.node
    one = node.parameters // node.times
    number = count(one) if node.times == 1 else f"{node.times} x {count(one)}"
    share = one * share_of_one
    cells = ("  " * row.level + node.name, _weights(node), number)
    if not wide:
        return (*cells, bar(share, _BAR_CELLS))
    tensors = [tensor for layer in node.layers() for tensor in layer.tensors]
    dtypes = dict.fromkeys(tensor.dtype for tensor in tensors if tensor.parameters)
    percent = f"{share:.1%}" if share >= 0.0005 else ""
    in_bytes = size(node.bytes // node.times)
    return (*cells, percent, bar(share, _BAR_CELLS), "/".join(dtypes), count(len(tensors)), in_bytes)


def _weights(node: Node) -> str:
    """Return what a layer's largest tensor is, and the names of what stands beside it where that is unusual."""
    layer = node.layer
    if layer is None or not layer.tensors:
        return ""
    weight = next((tensor for tensor in layer.tensors if tensor.name.rpartition(".")[2] == "weight"), None)
    if weight is None:
        first, *more = layer.tensors
        own = first.name.rpartition(".")[2]
        words = shape(first.shape) if own == node.name else f"{own} {shape(first.shape)}"
        return f"{words} + {len(more)} more" if more else words
    return f"{_WORDS[layer.kind]} {shape(weight.shape)}".lstrip()


def _tensor_table(result: InspectResult) -> _Table:
    rows: list[tuple[str, ...]] = [("tensor", "shape", "dtype", "parameters", "bytes")]
    for layer in result.layers:
        for tensor in layer.tensors:
            elements = count(tensor.parameters or tensor.buffers)
            rows.append((tensor.name, shape(tensor.shape), tensor.dtype, elements, size(tensor.bytes)))
    return _Table(rows, (3, 4), [0])


def _facts(report: Report[InspectResult]) -> Iterator[tuple[str, str]]:
    result, totals = report.result, report.result.totals
    bytes_on_disk = f", {size(result.file_bytes)}" if result.file_bytes is not None else ""
    yield "checkpoint", f"{report.inputs[0].path}, {result.format}{bytes_on_disk}"
    yield "is", _identity(result)
    if result.key or result.prefix:
        prefix = f", prefix {result.prefix} stripped" if result.prefix else ""
        yield "taken", f"{result.key or 'the top level'}{prefix}"
    if result.alternatives:
        yield "also there", f"{', '.join(result.alternatives)} (--key takes another)"
    for number, entry in enumerate(result.beside):
        tensors = f" ({_number(entry.tensors)}, {size(entry.bytes)})" if entry.tensors else ""
        yield "" if number else "beside", f"{entry.name}: {entry.holds}{tensors}"
    dtypes = ", ".join(f"{count(number)} {dtype}" for dtype, number in totals.dtypes.items())
    buffers = f" and {count(totals.buffers)} in buffers" if totals.buffers else ""
    yield "total", f"{count(totals.parameters)} parameters{buffers}, {size(totals.bytes)}"
    shown = len(result.layers)
    part = f", {count(shown)} of them shown" if shown < totals.layers else ""
    layers = "1 layer" if totals.layers == 1 else f"{count(totals.layers)} layers"
    yield (
        "tensors",
        f"{count(totals.tensors)} in {layers}{part}: {dtypes}; order: {report.inputs[0].order}",
    )
    for name, text in result.metadata.items():
        yield "metadata", f"{name} = {text}"
    if report.outputs:
        folder = report.outputs[0].path.rpartition("/")[0]
        yield "wrote", f"{count(len(report.outputs))} pictures below {folder or '.'}"
    if result.provenance:
        yield "made by", _history(result.provenance.made_by)


def _plan_facts(path: str, plan: PlanSection) -> Iterator[tuple[str, str]]:
    edited = ", edited since" if plan.is_edited else ""
    yield "plan", f"{path}, by {plan.method} with seed {plan.seed}{edited}"
    yield "source", f"{plan.source.name} {plan.source.sha256[:12]}" if plan.source else "a random start"
    yield "target", f"{plan.target.name}, {counted(plan.target.num_classes, 'class', 'classes')}"
    rows = ", ".join(f"{count(number)} {operation}" for operation, number in plan.num_rows.items())
    yield "rows", f"{rows}; index maps: {plan.arrays or 'none needed'}"


def _identity(result: InspectResult) -> str:
    """Return what the file says it is; else what its tensors show; else what can be said of them."""
    if result.kind != "checkpoint":
        return f"{result.kind} of tlv"
    named, recognised = result.architecture, result.recognition
    if named:
        channels = f", {named.in_chans} input channels" if named.in_chans != _RGB_CHANNELS else ""
        says = ", as the file says" if result.file_bytes is not None else ""
        return f"{named.name}, {counted(named.num_classes, 'class', 'classes')}{channels}{says}"
    return recognised.sentence if recognised else f"no architecture we know; {result.description.sentence}"


def _history(made_by: MadeBy) -> str:
    own = f"tlv {made_by.command} ({made_by.method}), version {made_by.tlv_version}"
    parents = [
        f"{parent.name} {parent.sha256[:12]}" + (f" <- {_history(parent.made_by)}" if parent.made_by else "")
        for parent in made_by.made_from
    ]
    return f"{own} <- {' and '.join(parents)}" if parents else own


def _number(tensors: int) -> str:
    return "1 tensor" if tensors == 1 else f"{count(tensors)} tensors"

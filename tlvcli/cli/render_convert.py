"""What `tlv convert` shows: what was taken, as what, what was left out, and the files."""

from __future__ import annotations

from tlvcli.cli.console import count, results, safe, size, write_fact
from tlvcli.core.report import Report
from tlvcli.core.wording import counted
from tlvcli.pipelines.convert import ConvertResult, LeftOutEntry

_SHOWN_TIES = 3


def render(report: Report[ConvertResult], verbose: bool) -> None:
    """Draw the report; `verbose` names every group of tied tensors."""
    console, result, source = results(), report.result, report.inputs[0]
    for label, text in _facts(report, verbose=verbose):
        write_fact(console, label, text)
    for output in report.outputs:
        if output.role == "checkpoint" or verbose:
            console.print(f"wrote {safe(output.path)}  sha256 {output.sha256[:12]}", soft_wrap=True)
    if len(report.outputs) > 1 and not verbose:
        console.print(f"and {counted(result.num_files, 'shard')} beside it", soft_wrap=True)
    if not report.outputs:
        console.print(f"dry run: nothing written of {safe(source.path)}", soft_wrap=True)


def _facts(report: Report[ConvertResult], *, verbose: bool) -> list[tuple[str, str]]:
    result, source = report.result, report.inputs[0]
    part = f", {result.taken}" if result.taken else ""
    prefix = f", prefix {result.prefix} stripped" if result.prefix else ""
    facts = [("checkpoint", f"{source.path}, {source.format}{part}{prefix}")]
    if result.architecture:
        facts.append(
            (
                "architecture",
                f"{result.architecture.name}, {counted(result.architecture.num_classes, 'class', 'classes')}",
            )
        )
    facts.append(
        ("tensors", f"{count(result.num_tensors)}, {count(result.num_elements)} elements, {size(result.num_bytes)}")
    )
    facts.append(("dtypes", _dtypes(result)))
    if result.shared:
        groups = result.shared if verbose else result.shared[:_SHOWN_TIES]
        rest = f" and {len(result.shared) - len(groups)} more" if len(groups) < len(result.shared) else ""
        ties = ", ".join(" = ".join(names) for names in groups)
        facts.append(("tied", f"{ties}{rest}: each written by itself, {size(result.shared_bytes)} more"))
    if result.left_out:
        facts.append(("left out", ", ".join(map(_weighed, result.left_out))))
    return facts


def _dtypes(result: ConvertResult) -> str:
    after = _list(result.dtypes)
    return f"{_list(result.dtypes_before)} -> {after}" if result.num_cast else f"{after}, unchanged"


def _list(dtypes: dict[str, int]) -> str:
    return ", ".join(f"{count(number)} {dtype}" for dtype, number in dtypes.items())


def _weighed(entry: LeftOutEntry) -> str:
    if not entry.tensors:
        return entry.name
    noun = "tensor" if entry.tensors == 1 else "tensors"
    return f"{entry.name} ({count(entry.tensors)} {noun}, {size(entry.bytes)})"

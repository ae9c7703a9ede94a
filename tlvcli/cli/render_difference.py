"""What `tlv inspect --against` shows: what changed most comes first, then what came, went and moved."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from tlvcli.cli.console import count, shape, write_columns, write_fact
from tlvcli.cli.render_statistics import short, some
from tlvcli.pipelines.inspection.difference import ChangedTensor, DifferenceSection

if TYPE_CHECKING:
    from rich.console import Console

_MOST_ROWS = 20


def render_difference(section: DifferenceSection, console: Console, *, verbose: bool = False) -> None:
    """Draw the difference: blocks, then the tensors that changed most; all of them where `verbose`."""
    if section.identical:
        within = f" within {_tolerance(section)}" if section.atol or section.rtol else ""
        console.print(f"[bold]identical[/]: all tensors ({count(section.unchanged)}){within}", soft_wrap=True)
        return
    if len(section.blocks) > 1 and any(block.changed for block in section.blocks):
        rows: list[tuple[str, ...]] = [("block", "changed", "relative L2")]
        for block in section.blocks:
            share = f"{count(block.changed)} of {count(block.tensors)}"
            rows.append((block.name or "(top level)", share, _relative(block.relative_l2)))
        write_columns(console, rows, right=(1, 2), cut=0, bold=(0,))
    changed = sorted([*section.changed, *section.retyped], key=_amount, reverse=True)
    shown = changed if verbose else changed[:_MOST_ROWS]
    if shown:
        head = ("tensor", "relative L2", "largest", "cosine", "differ", "dtype")
        write_columns(console, [head, *map(_row, shown)], right=(1, 2, 3, 4), cut=0, bold=(0,))
    if len(changed) > len(shown):
        more = count(len(changed) - len(shown))
        console.print(f"{more} more changed less; --verbose shows them", style="dim", soft_wrap=True)
    for label, text in _facts(section, verbose):
        write_fact(console, label, text)


def _amount(tensor: ChangedTensor) -> tuple[float, int]:
    relative = tensor.values.relative_l2
    # Without a scale to compare with, anything that differs is new: it comes first.
    return (float("inf") if relative is None and tensor.values.differing else relative or 0.0), tensor.values.differing


def _row(tensor: ChangedTensor) -> tuple[str, ...]:
    values, was = tensor.values, tensor.reference_dtype
    # Sums are over finite values: where none of these differs, it is NaN or Inf that came or went.
    only_not_finite = values.differing > 0 and values.max_abs == 0
    return (
        tensor.name,
        "not finite" if only_not_finite else _relative(values.relative_l2),
        short(values.max_abs),
        f"{values.cosine:.4f}" if values.cosine is not None else "-",
        f"{values.differing / max(1, tensor.elements):.0%}",
        tensor.dtype if was == tensor.dtype else f"{was} -> {tensor.dtype}",
    )


def _relative(number: float | None) -> str:
    return "was 0" if number is None else short(number)


def _facts(section: DifferenceSection, verbose: bool) -> Iterator[tuple[str, str]]:
    within = f" within {_tolerance(section)}" if section.atol or section.rtol else ""
    yield (
        "tensors",
        f"{count(section.unchanged)} unchanged{within}, {count(len(section.changed))} changed, "
        f"{count(len(section.retyped))} of another dtype",
    )
    change, renames = section.prefix_rename, section.renamed
    if change:
        prefixes = f"{change.reference_prefix}* -> {change.prefix}*"
        yield "renamed", f"{count(change.tensors)} tensors: {prefixes}"
        renames = [
            rename
            for rename in renames
            if rename.reference_name != change.reference_prefix + rename.name.removeprefix(change.prefix)
        ]
    if renames:
        pairs = [f"{rename.reference_name} -> {rename.name}" for rename in renames]
        yield "renamed", ", ".join(pairs) if verbose else some(pairs)
    shown = section.reshaped if verbose else section.reshaped[:_MOST_ROWS]
    for tensor in shown:
        yield "reshaped", f"{tensor.name}: {shape(tensor.reference_shape)} -> {shape(tensor.shape)}"
    if len(shown) < len(section.reshaped):
        yield "", f"and {count(len(section.reshaped) - len(shown))} more; --verbose shows them"
    for label, names in (("added", section.added), ("removed", section.removed)):
        if names:
            yield label, f"{count(len(names))}: {', '.join(names) if verbose else some(names)}"


def _tolerance(section: DifferenceSection) -> str:
    return f"{section.atol:g} + {section.rtol:g} |reference|"

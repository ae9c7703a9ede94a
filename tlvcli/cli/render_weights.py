"""What `tlv analyze-stats --weights` shows: a line for every layer with kernels, and those that do nothing."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from tlvcli.cli.console import count, write_columns, write_fact, write_sentence
from tlvcli.cli.render_statistics import short, some
from tlvcli.pipelines.analysis.weights_result import LayerKernels, WeightsSection

if TYPE_CHECKING:
    from rich.console import Console

_HEAD = ("layer", "kernels", "variance", "spectral", "stable", "effective", "of", "dead", "copies")
_MOST_LINES = 10
_MOST_INDICES = 10


def render_weights(section: WeightsSection, console: Console, *, verbose: bool = False) -> None:
    """Draw the layers, and the dead and copied kernels; of all layers where `verbose`."""
    rows = [_HEAD, *map(_row, section.layers)]
    # A column that would stay empty leaves its place to the names.
    used = [column for column in range(len(_HEAD)) if any(row[column] for row in rows[1:])]
    write_columns(
        console,
        [[row[column] for column in used] for row in rows],
        right=range(1, len(used)),
        cut=0,
        bold=(0,),
    )
    write_sentence(
        console,
        "variance: median of the kernels', population; spectral: largest singular value; stable, effective: rank",
        style="dim",
    )
    total = f"{count(section.kernels)} in {count(len(section.layers))} layers"
    write_fact(console, "kernels", f"{total}: {count(section.dead)} dead, {count(section.copies)} copies")
    for label, entries in (("dead", _dead(section)), ("copies", _copies(section))):
        shown = entries if verbose else entries[:_MOST_LINES]
        for number, text in enumerate(shown):
            write_fact(console, "" if number else label, text)
        if len(shown) < len(entries):
            write_fact(console, "", f"and in {count(len(entries) - len(shown))} more layers (--verbose shows them)")
    if section.without_kernels:
        write_fact(console, "no kernels", some(section.without_kernels))


def _row(layer: LayerKernels) -> tuple[str, ...]:
    known = [value for value in layer.variance if value is not None]
    return (
        layer.name,
        count(len(layer.variance)),
        short(statistics.median(known) if known else None),
        short(layer.spectral_norm),
        short(layer.stable_rank),
        short(layer.effective_rank),
        count(layer.largest_rank),
        count(len(layer.dead)) if layer.dead else "",
        count(len(layer.copies)) if layer.copies else "",
    )


def _dead(section: WeightsSection) -> list[str]:
    return [f"{layer.name}: {_indices(layer.dead)}" for layer in section.layers if layer.dead]


def _copies(section: WeightsSection) -> list[str]:
    return [f"{layer.name}: {_indices(sorted(layer.copies))}" for layer in section.layers if layer.copies]


def _indices(kernels: list[int]) -> str:
    more = f" and {count(len(kernels) - _MOST_INDICES)} more" if len(kernels) > _MOST_INDICES else ""
    return ", ".join(map(str, kernels[:_MOST_INDICES])) + more

"""What `tlv analyze-stats --against` shows: for every layer the other network's layer that is most like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tlvcli.cli.console import bar, count, safe, write_columns, write_fact, write_sentence
from tlvcli.pipelines.analysis.similarity_result import ComparedLayer, ComparedNetwork, SimilaritySection

if TYPE_CHECKING:
    from rich.console import Console

_BAR = 10
# Of what the columns other than the two names take, with the gaps between all of them.
_REST = _BAR + 24
_SHORTEST_NAME = 12


def render_similarity(section: SimilaritySection, console: Console, *, verbose: bool = False) -> None:
    """Draw the first network's layers with their partners; the second's too where `verbose`."""
    first, second = section.networks
    write_sentence(
        console,
        f"[bold]{safe(_title(first))}[/] and [bold]{safe(_title(second))}[/]: {len(first.layers)} x "
        f"{len(second.layers)} layers on {count(section.images)} images ({section.split})",
    )
    _write_layers(first, second, console)
    if verbose:
        _write_layers(second, first, console)
    for label, text in _facts(section):
        write_fact(console, label, text)
    write_sentence(
        console,
        "CKA: unbiased, linear; 1 for features equal up to rotation and scale, about 0 for unrelated ones"
        + ("" if verbose else "; --verbose: the other way too"),
        style="dim",
    )


def _write_layers(network: ComparedNetwork, other: ComparedNetwork, console: Console) -> None:
    width = max(_SHORTEST_NAME, (console.width - _REST) // 2) if console.is_terminal else 10**6
    title = f"best partner in {other.architecture.name}"
    head = ("layer", title if len(title) <= width else "best partner", "CKA", "", "same name")
    rows = [head, *(_row(layer, width) for layer in network.layers)]
    # Two networks of different kinds have few names in common, and the column its place.
    columns = range(len(head) if any(row[4] for row in rows[1:]) else len(head) - 1)
    shown = [[row[column] for column in columns] for row in rows]
    write_columns(console, shown, right=(2, 4), cut=0, bold=(0,))


def _row(layer: ComparedLayer, width: int) -> tuple[str, ...]:
    if layer.best is None or layer.best_cka is None:
        return layer.name, "none: the same for every image", "-", "", ""
    return (
        layer.name,
        _cut(layer.best, width),
        f"{layer.best_cka:.3f}",
        bar(max(0.0, layer.best_cka), _BAR),
        f"{layer.same_cka:.3f}" if layer.same_cka is not None else "",
    )


def _cut(name: str, width: int) -> str:
    """Leave out the middle of a name: its ends tell it apart."""
    half = (width - 1) // 2
    return name if len(name) <= width else f"{name[: width - 1 - half]}…{name[-half:]}"


def _facts(section: SimilaritySection) -> list[tuple[str, str]]:
    first = section.networks[0]
    known = [(layer.best_cka, layer) for layer in first.layers if layer.best_cka is not None]
    if not known:
        return []
    most, least = (choose(known, key=lambda pair: pair[0]) for choose in (max, min))
    facts = [
        ("most alike", f"{most[1].name} and {most[1].best}, {most[0]:.3f}"),
        ("least alike", f"{least[1].name}, whose best partner is {least[1].best}, {least[0]:.3f}"),
    ]
    same = [layer.same_cka for layer in first.layers if layer.same_cka is not None]
    if same:
        facts.append(("same names", f"{len(same)} layers, CKA {sum(same) / len(same):.3f} in the mean"))
    return facts


def _title(network: ComparedNetwork) -> str:
    return f"{network.checkpoint} ({network.architecture.name})"

"""What `tlv inspect --stats` shows: a line for every tensor, then what does nothing and what is broken."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from tlvcli.cli.console import count, write_columns, write_fact, write_sentence
from tlvcli.pipelines.inspection.statistics import DeadChannels, InspectedValues, StatisticsSection

if TYPE_CHECKING:
    from rich.console import Console

_CHANNELS = {
    "filter": "filters near 0",
    "scale": "scales near 0",
    "variance": "running variances 0 or below",
}
_MOST_NAMES = 5
_MOST_LINES = 10
_HEAD = ("tensor", "mean", "std", "x He", "min", "max", "0", "flags")


def narrowed(section: StatisticsSection, names: Collection[str]) -> StatisticsSection:
    """Return what the section says of the tensors called `names`."""
    return StatisticsSection(
        tensors=[values for values in section.tensors if values.name in names],
        non_finite=[name for name in section.non_finite if name in names],
        constant=[name for name in section.constant if name in names],
        dead=[entry for entry in section.dead if entry.tensor in names],
    )


def render_statistics(section: StatisticsSection, console: Console, *, verbose: bool = False) -> None:
    """Draw a line for every tensor, and the findings; all of them where `verbose`."""
    dead = {entry.tensor: entry for entry in section.dead}
    rows = [_HEAD, *(_row(values, dead.get(values.name)) for values in section.tensors)]
    # A column that would stay empty leaves its place to the names.
    used = [index for index in range(len(_HEAD)) if index == 0 or any(row[index] for row in rows[1:])]
    shown = [[row[index] for index in used] for row in rows]
    numbers = {place for place, index in enumerate(used) if 0 < index < len(_HEAD) - 1}
    write_columns(console, shown, right=numbers, cut=0, bold=(0,))
    write_sentence(console, "std: population; x He: std over sqrt(2 / fan-in); 0: share of zeros", style="dim")
    for label, text in _findings(section, None if verbose else _MOST_LINES):
        write_fact(console, label, text)


def _row(values: InspectedValues, dead: DeadChannels | None) -> tuple[str, ...]:
    zeros = f"{values.zeros / values.elements:.0%}" if values.zeros else ""
    if values.zeros and zeros == "0%":
        zeros = "<1%"
    return (
        values.name,
        short(values.mean),
        short(values.std),
        f"{values.std_over_he:.2f}" if values.std_over_he is not None else "",
        short(values.min),
        short(values.max),
        zeros,
        ", ".join(_flags(values, dead)),
    )


def _flags(values: InspectedValues, dead: DeadChannels | None) -> Iterator[str]:
    if values.nan:
        yield f"{count(values.nan)} NaN"
    if values.infinite:
        yield f"{count(values.infinite)} inf"
    if values.constant:
        yield "constant"
    if dead:
        yield f"{count(dead.number)} dead"


def _findings(section: StatisticsSection, most: int | None) -> Iterator[tuple[str, str]]:
    if section.non_finite:
        yield "not finite", some(section.non_finite)
    if section.constant:
        yield "constant", some(section.constant)
    for number, entry in enumerate(section.dead[:most]):
        words = _CHANNELS[entry.channels]
        indices = ", ".join(map(str, entry.first)) + (", ..." if entry.number > len(entry.first) else "")
        yield (
            "" if number else "dead",
            f"{entry.tensor}: {count(entry.number)} of {count(entry.of)} {words} ({indices})",
        )
    if most is not None and len(section.dead) > most:
        yield "", f"and in {count(len(section.dead) - most)} more tensors (--verbose shows them)"


def some(names: list[str]) -> str:
    """Write the first few names, and how many more there are."""
    more = f" and {count(len(names) - _MOST_NAMES)} more" if len(names) > _MOST_NAMES else ""
    return f"{', '.join(names[:_MOST_NAMES])}{more}"


def short(number: float | None) -> str:
    """Write a number in three digits: 0.0123, -1.50, 1.2e-07; a dash where there is none."""
    if number is None:
        return "-"
    if number == 0:
        return "0"
    if 1e-3 <= abs(number) < 1e4:
        text = f"{number:.3g}"
        return text if "e" not in text else f"{number:.0f}"
    mantissa, _, exponent = f"{number:.1e}".partition("e")
    return f"{mantissa}e{int(exponent)}"

"""What a shift looks like on the screen: a sentence, then the layers from the input to the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from tlvcli.cli.console import bar, count, write_columns, write_fact
from tlvcli.cli.render_statistics import short, some
from tlvcli.core.wording import counted
from tlvcli.pipelines.analysis.result import ImagesSeen, ShiftedLayer, ShiftSection

if TYPE_CHECKING:
    from rich.console import Console

_WIDE_COLUMNS = 110
_BAR_CELLS, _WIDE_BAR_CELLS = 16, 30
_MARK = "┊"
_RULES = {
    "null percentile": "its own 95th percentile without a shift",
    "threshold": "the threshold given",
    "fraction": "the largest distances, the share given",
    "alpha": "the false-discovery rate given",
    "seed-kl": "its window, {low:g} to 1",
}


def render_shift(
    section: ShiftSection, console: Console, *, sort: Literal["layer", "shift", "name"], verbose: bool
) -> None:
    """Draw the section; `verbose` names every kernel that is shifted."""
    for label, text in _summary(section):
        write_fact(console, label, text)
    console.print()
    wide = console.width >= _WIDE_COLUMNS
    rows = [_head(section, wide=wide)]
    rows += [_row(section, layer, wide=wide) for layer in _ordered(section.layers, sort)]
    numbers = [place for place, name in enumerate(rows[0]) if name not in ("layer", "read at", "")]
    write_columns(console, rows, right=numbers, cut=0, bold=(0,))
    for label, text in _facts(section, verbose=verbose):
        write_fact(console, label, text)
    if console.is_terminal and len(rows) > console.height:
        write_fact(console, *_shifted(section))  # its first place has scrolled away, and that of the advice
        write_fact(console, "advice", section.overall.advice)


def _summary(section: ShiftSection) -> Iterator[tuple[str, str]]:
    overall = section.overall
    yield "network", section.architecture.name
    yield "source", _images(section.source)
    yield "target", _images(section.target)
    yield _shifted(section)
    yield "by depth", f"first third of the layers {overall.early_share:.0%}, last third {overall.late_share:.0%}"
    yield "advice", overall.advice


def _shifted(section: ShiftSection) -> tuple[str, str]:
    overall = section.overall
    expected = f"; {overall.expected_share:.0%} would be by chance" if overall.expected_share else ""
    return "shifted", f"{count(overall.shifted)} of {count(overall.kernels)} kernels ({overall.share:.0%}){expected}"


def _images(seen: ImagesSeen) -> str:
    skipped = f", {len(seen.skipped)} skipped" if seen.skipped else ""
    return f"{seen.data}, {counted(seen.images, 'image')}{skipped}"


def _ordered(layers: Sequence[ShiftedLayer], sort: str) -> list[ShiftedLayer]:
    if sort == "name":
        return sorted(layers, key=lambda layer: layer.name)
    if sort == "shift":
        return sorted(layers, key=lambda layer: (-layer.share, -layer.statistics[0].distance))
    return list(layers)


def _head(section: ShiftSection, *, wide: bool) -> tuple[str, ...]:
    first, *others = (statistic.name for statistic in section.layers[0].statistics)
    has_null = _has_null(section)
    if not wide:
        return ("layer", "kernels", first, *(("no shift",) if has_null else ()), "shifted", "")
    null = ("no shift 5 %", "50 %", "95 %", "x 50 %") if has_null else ()
    return ("layer", "read at", "kernels", first, *null, *others, "shifted", "share", "")


def _row(section: ShiftSection, layer: ShiftedLayer, *, wide: bool) -> tuple[str, ...]:
    first, *others = layer.statistics
    band = first.null
    share, kernels, distance = f"{layer.share:.0%}", count(layer.channels), short(first.distance)
    expected = section.overall.expected_share
    if not wide:
        null = (f"<{short(band.high)}",) if band else ("-",) if _has_null(section) else ()
        return (layer.name, kernels, distance, *null, share, _marked_bar(layer.share, expected, _BAR_CELLS))
    bands: tuple[str, ...] = ()
    if band:
        times = f"{first.distance / band.median:.3g}" if band.median > 0 else "-"
        bands = (short(band.low), short(band.median), short(band.high), times)
    elif _has_null(section):
        bands = ("-",) * 4
    return (
        *(layer.name, layer.stage, kernels, distance, *bands),
        *(short(statistic.distance) for statistic in others),
        *(count(layer.shifted), share, _marked_bar(layer.share, expected, _WIDE_BAR_CELLS)),
    )


def _has_null(section: ShiftSection) -> bool:
    return any(layer.statistics[0].null for layer in section.layers)


def _marked_bar(share: float, expected: float | None, width: int) -> str:
    """Draw the share as a bar, and at the share that is expected without a shift a mark."""
    cells = bar(share, width).ljust(width)
    if not expected:
        return cells.rstrip()
    place = min(width - 1, max(1, round(expected * width)))
    return f"{cells[:place]}{_MARK}{cells[place + 1 :]}".rstrip()


def _facts(section: ShiftSection, *, verbose: bool) -> Iterator[tuple[str, str]]:
    overall, first = section.overall, section.layers[0].statistics[0]
    judged = "layers" if section.select == "layers" else "kernels"
    by = f"{first.name}, {judged} beyond {_RULES[section.rule].format(low=first.threshold)}"
    mark = f"; {_MARK} marks the {overall.expected_share:.0%} of chance" if overall.expected_share else ""
    yield "shifted by", f"{by}; a layer's number is the median over its kernels{mark}"
    if overall.general_layers:
        names = overall.general_layers
        yield "alike", ", ".join(names) if verbose else some(names)
    if overall.most_shifted:
        yield "most shifted", ", ".join(overall.most_shifted)
    if section.not_called:
        yield "not called", some(section.not_called)
    for layer in section.layers if verbose else ():
        if layer.specific:
            yield layer.name, f"specific kernels {', '.join(map(str, layer.specific))}"

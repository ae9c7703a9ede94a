"""The kernels of all layers as a table, a row for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from tlvcli.core.report import OutputInfo
from tlvcli.io.csv_files import Cell, write_csv
from tlvcli.pipelines.analysis.result import LayerStatistic, ShiftedLayer, ShiftSection


def write_kernels(path: Path, section: ShiftSection, *, force: bool) -> OutputInfo:
    """Write layer, kernel, whether it is shifted, and for each statistic its distance, threshold, p, q and effect.

    Columns that a statistic does not have are left out; a statistic of whole layers repeats its number in each row.
    """
    names = [statistic.name for statistic in section.layers[0].statistics]
    columns = [
        (number, name, key, field)
        for number, name in enumerate(names)
        for key, field in (
            ("distance", "kernels"),
            ("threshold", "threshold"),
            ("p", "p_values"),
            ("q", "q_values"),
            ("d", "effect_sizes"),
        )
        if key == "distance" or any(getattr(layer.statistics[number], field) is not None for layer in section.layers)
    ]
    header = ["layer", "kind", "kernel", "shifted", *(f"{name} {key}" for _, name, key, _ in columns)]
    fields = [(number, field) for number, _, _, field in columns]
    rows = (row for layer in section.layers for row in _rows(layer, fields))
    return write_csv(path, header, rows, force=force)


def _rows(layer: ShiftedLayer, fields: Sequence[tuple[int, str]]) -> Iterator[tuple[Cell, ...]]:
    columns = [_column(layer.statistics[number], field, layer.channels) for number, field in fields]
    specific = set(layer.specific)
    for kernel in range(layer.channels):
        yield (layer.name, layer.kind, kernel, kernel in specific, *(column[kernel] for column in columns))


def _column(statistic: LayerStatistic, field: str, channels: int) -> Sequence[Cell]:
    values = statistic.distance if field == "kernels" and statistic.kernels is None else getattr(statistic, field)
    if isinstance(values, list):
        return values if len(values) == channels else values * channels
    return [values] * channels

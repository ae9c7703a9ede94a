"""How much of the disk a comparison takes, and whether there is so much."""

from __future__ import annotations

import shutil
from math import prod

from tlvcli.core.errors import TlvError
from tlvcli.models.names import is_classifier
from tlvcli.models.recognition.catalogue import CHANNELS, CLASSES, templates_of
from tlvcli.pipelines.checkpoints import named_weights
from tlvcli.pipelines.comparing.config import CompareConfig
from tlvcli.pipelines.comparing.folder import CompareFolder
from tlvcli.pipelines.comparing.grid import Cell, Grid

BYTES_PER_WEIGHT = 4
# Start, best and last weights, and the state to resume from: weights with two moments.
_CHECKPOINTS_AT_WORK = 6
_REPORT_BYTES = 500_000


def estimate_disk(grid: Grid, network_bytes: int, *, jobs: int, keep: str) -> int:
    """Return the bytes that the comparison takes at most."""
    return _needed(grid, grid.cells, network_bytes, jobs=jobs, keep=keep)


def _needed(grid: Grid, cells: list[Cell], network_bytes: int, *, jobs: int, keep: str) -> int:
    """Return the most bytes that training these cells adds.

    The best checkpoints of a variant stay until its settings are chosen, those of the best variant so far, and, where
    all are kept, all that cells write.
    """
    if not cells:
        return 0
    largest = max(len(points) for points in grid.points.values()) * len(grid.seeds)
    held = _CHECKPOINTS_AT_WORK * len(cells) if keep == "all" else min(len(cells), largest + jobs) + 1
    return network_bytes * (held + _CHECKPOINTS_AT_WORK * jobs) + _REPORT_BYTES * len(cells)


def guess_network_bytes(config: CompareConfig) -> int:
    """Return about how large the network of each cell is, as far as its name says so without torch; else 0."""
    named = [config.target_arch] if config.target_arch else [config.source_arch, *map(_named, config.source)]
    return max((BYTES_PER_WEIGHT * _num_weights(name) for name in named if name and is_classifier(name)), default=0)


def _named(source: str) -> str | None:
    named = named_weights(source)
    return named[0] if named else None


def _num_weights(architecture: str) -> int:
    # A head of one class: there is no telling how many before the data are opened.
    told = {CLASSES: 1, CHANNELS: 3}
    shapes = templates_of(architecture).values()
    return sum(prod(told[size] if isinstance(size, str) else size for size in shape) for shape in shapes)


def refuse_full_disk(
    config: CompareConfig, grid: Grid, folder: CompareFolder, network_bytes: int, *, jobs: int
) -> None:
    """Raise `no-space` where what is left of the grid does not fit beside what is there already."""
    left = [cell for cell in grid.cells if config.force or not folder.cell(cell).train_report_path.is_file()]
    num_bytes = _needed(grid, left, network_bytes, jobs=jobs, keep=config.keep)
    place = folder.path if folder.path.is_dir() else folder.path.parent
    free = shutil.disk_usage(place).free
    if free < num_bytes:
        raise TlvError(
            "no-space",
            f"the grid may take {num_bytes / 1e6:,.0f} MB, and {place} has {free / 1e6:,.0f} MB left",
            "free some space, take a smaller grid or fewer --jobs, or --keep none",
        )
